"""Types of the names that ``fedvsr`` loads when they are used."""

from fedvsr import degradations as degradations
from fedvsr import losses as losses
from fedvsr import metrics as metrics
from fedvsr import models as models
from fedvsr import strategies as strategies
from fedvsr.clip_dataset import ClipDataset as ClipDataset
from fedvsr.loading import load_model as load_model
from fedvsr.loading import load_pretrained as load_pretrained
from fedvsr.losses import HighFrequencyLoss as HighFrequencyLoss
from fedvsr.models import build_model as build_model
from fedvsr.upscaling import upscale as upscale
from fedvsr_core.aggregation.weights import loss_aware as loss_aware

__version__: str
