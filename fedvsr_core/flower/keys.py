"""The names of everything that crosses the wire."""

# Records of a message. The first three are Flower's own defaults, which its strategies look for.
ARRAYS = "arrays"
CONFIG = "config"
METRICS = "metrics"
ABOUT = "about"
VARIATES = "control-variates"
NONCE = "nonce"

# Entries of the ConfigRecord that the server sends.
SERVER_ROUND = "server-round"
SETTINGS = "settings"
RUN = "run"
LAST_ACCEPTED = "last-accepted-round"
FROZEN_DIGEST = "frozen-digest"

# Entries of the MetricRecord that a client returns: numbers, the same for every client.
NUM_EXAMPLES = "num-examples"
NUM_STEPS = "num-steps"
LOSS = "loss"
LOSS_PART_PREFIX = "loss-"
SECONDS = "seconds"
PEAK_MEMORY_MB = "peak-memory-mb"

# Entries of the MetricRecord that a client returns when it scores the model: sums over its own clips.
NUM_CLIPS = "num-clips"
NUM_FRAMES = "num-frames"
SUM = "sum"
COUNT = "count"
LEFT_OUT = "left-out"
INFINITE = "infinite"

# Entries of the ConfigRecord `ABOUT` that a client returns: words.
CLIENT = "client"
NUM_CLIENTS = "num-clients"
DEVICE = "device"
CODE = "code"
BATCHES = "batches"
EPSILON = "epsilon"
DELTA = "delta"
DECLINED = "declined"

# Node configuration: set by Flower in simulation, by the operator of a site with --node-config.
# `CODE`, `DEVICE`, `EPSILON` and `DELTA` are also keys of it.
PARTITION_ID = "partition-id"
NUM_PARTITIONS = "num-partitions"
SITE = "site"
DATA_DIR = "data-dir"
WEIGHTS_DIR = "weights-dir"
HELD_OUT_DIR = "held-out-dir"
MEMORY_DIR = "memory-dir"
MEMORY_MB = "memory-mb"
WORKERS = "workers"
DEVICES = "devices"
CLIPPING_NORM = "clipping-norm"
AUDIT_DIR = "audit-dir"
LEAST_STEPS = "least-steps"
LEAST_WINDOWS = "least-windows"
LEAST_PATCH = "least-patch"
MOST_LR = "most-lr"
MOST_EPS = "most-eps"
MOST_LOSS_EPS = "most-loss-eps"
OPTIMISERS = "optimisers"
LOSSES = "losses"
MODELS = "models"
ROUNDS_A_DAY = "rounds-a-day"
EVALUATE = "evaluate"
