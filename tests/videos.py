"""Small videos of moving shapes, on disk."""

import cv2

from fedvsr_core.data.synthetic import Synthetic


def write_videos(folder, lengths, seed):
    """One video for each number of frames, in a new folder."""
    folder.mkdir(parents=True)
    for number, frames in enumerate(lengths):
        write_video(folder / f"{number}.avi", frames, seed=10 * seed + number)


def write_video(path, frames, seed):
    """One video of 80 x 64 pixels."""
    made = Synthetic(scale=4, clips=1, held_out_clips=0, frames=frames, height=16, width=20, seed=seed)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (80, 64))
    for frame in made.train()[0].clip().high:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
