"""A small recurrent network (PyTorch) over a drive's last changes: an option beside the trees.

Of the extra `predict-torch`; nothing else imports PyTorch. What is saved is plain arrays, never a
pickle.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pyctl.errors import NotFoundError, UsageError
from pyctl.predict.days import DriveDays
from pyctl.predict.log import Ints, Log
from pyctl.predict.model import QUESTIONS
from pyctl.predict.sequences import CHANNELS, STATIC, Sequences, build
from pyctl.predict.training import Examples

__all__ = ["NAME", "Network", "fit", "load"]

NAME = "sequence model"
"""What it is called in tables."""

_FILE = "network.npz"
_MODELS = "models"
_HIDDEN, _EMBEDDING, _INNER = 48, 4, 32
_EPOCHS, _BATCH, _RATE = 4, 1024, 3e-3
# the weight of one example, that a single one doesn't throw a batch off
_HEAVIEST = 24.0
_UNKNOWN = 0.05
# so many batches are sorted by length together, which saves most of the padding
_SORTED = 16
_SCORED = 8192
_SEED = 8


@dataclass(frozen=True)
class Network:
    """The trained layers; `models` is how many drive models they know."""

    layers: Any
    models: int

    def scores(
        self, log: Log, at: DriveDays, codes: Ints, threads: int = 2
    ) -> dict[str, npt.NDArray[np.float64]]:
        """The log-odds of each question for each drive-day, by the training's weights."""
        torch.set_num_threads(threads)
        sequences = build(log, at, codes)
        out = np.empty((len(at), len(QUESTIONS)))
        order = np.argsort(sequences.length, kind="stable")
        self.layers.eval()
        with torch.no_grad():
            for start in range(0, len(order), _SCORED):
                some = order[start : start + _SCORED]
                out[some] = _forward(self.layers, sequences, some).numpy()
        return {question: out[:, place] for place, question in enumerate(QUESTIONS)}

    def save(self, folder: Path) -> None:
        """Write the arrays into the folder of a model."""
        arrays: dict[str, Any] = {
            name: value.numpy() for name, value in self.layers.state_dict().items()
        }
        arrays[_MODELS] = np.array(self.models)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / _FILE, allow_pickle=False, **arrays)


def fit(
    log: Log, found: Examples, codes: Ints, threads: int = 2, *, epochs: int = _EPOCHS
) -> Network:
    """Train on the examples that the trees learn from, with their labels and weights."""
    torch.set_num_threads(threads)
    torch.manual_seed(_SEED)
    random = np.random.default_rng(_SEED)
    network = _made(int(codes.max()) + 1)
    # now and then a drive model is hidden, so that unknown ones have an answer
    hidden = random.random(len(log.drives)) < _UNKNOWN
    sequences = build(log, found.at, np.where(hidden, -1, codes))
    labels = np.stack([found.label[one] for one in QUESTIONS], axis=1).astype(np.float32)
    weights = np.minimum(found.weight, _HEAVIEST).astype(np.float32)
    weights /= weights.mean()
    layers = network.layers
    steps = epochs * -(-len(found) // _BATCH)
    descent = torch.optim.AdamW(layers.parameters(), lr=_RATE, weight_decay=1e-3)
    slower = torch.optim.lr_scheduler.OneCycleLR(descent, _RATE, total_steps=steps)
    layers.train()
    for _ in range(epochs):
        for some in _batches(sequences, random):
            given = _forward(layers, sequences, some)
            wanted = torch.from_numpy(labels[some])
            each = nn.functional.binary_cross_entropy_with_logits(given, wanted, reduction="none")
            loss = (each * torch.from_numpy(weights[some])[:, None]).mean()
            descent.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(layers.parameters(), 1.0)
            descent.step()
            slower.step()
    return network


def load(folder: Path) -> Network:
    """Read a network.

    Raises NotFoundError where the folder has none, UsageError for one of another shape.
    """
    try:
        with np.load(folder / _FILE, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        network = _made(int(arrays.pop(_MODELS)))
        network.layers.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
    except FileNotFoundError as error:
        raise NotFoundError(
            f"There is no {NAME} in {folder}.", hint="`pyctl predict train --with torch` makes one."
        ) from error
    except (ValueError, OSError, EOFError, KeyError, TypeError, RuntimeError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"The {NAME} in {folder} cannot be read: {why}.") from error
    return network


def _made(models: int) -> Network:
    layers = nn.ModuleDict(
        {
            # number 0 is for drive models that were not in the training
            "model": nn.Embedding(models + 1, _EMBEDDING),
            "steps": nn.GRU(CHANNELS, _HIDDEN, batch_first=True),
            "answer": nn.Sequential(
                nn.Linear(_HIDDEN + _EMBEDDING + STATIC, _INNER),
                nn.ReLU(),
                nn.Linear(_INNER, len(QUESTIONS)),
            ),
        }
    )
    return Network(layers, models)


# The state behind the last step of each is what counts, so padding changes nothing.
def _forward(layers: Any, sequences: Sequences, some: Ints) -> Any:
    states, _ = layers["steps"](torch.from_numpy(sequences.steps(some)))
    last = torch.from_numpy(sequences.length[some] - 1)
    state = states[torch.arange(len(some)), last]
    model = layers["model"](torch.from_numpy(sequences.model[some]))
    static = torch.from_numpy(sequences.static[some])
    return layers["answer"](torch.cat([state, model, static], dim=1))


def _batches(sequences: Sequences, random: np.random.Generator) -> list[Ints]:
    order = random.permutation(len(sequences))
    batches = []
    for start in range(0, len(order), _BATCH * _SORTED):
        some = order[start : start + _BATCH * _SORTED]
        some = some[np.argsort(sequences.length[some], kind="stable")]
        batches += [some[at : at + _BATCH] for at in range(0, len(some), _BATCH)]
    random.shuffle(batches)
    return batches
