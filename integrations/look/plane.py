"""Features in the plane: UMAP where it is installed, PCA otherwise."""

import warnings
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# UMAP wants more neighbours than this to show anything.
_LEAST_FOR_UMAP = 16


def in_the_plane(features: Tensor) -> tuple[Tensor, str]:
    """Places (N, 2) of features (N, D) in [0, 1], and a sentence about how they were found."""
    if find_spec("umap") is not None and len(features) >= _LEAST_FOR_UMAP:
        places = _umap(F.normalize(features.float(), dim=1))
        said = "by UMAP (cosine distance, fixed seed): near pictures are alike, far distances and "
        said += "the size of groups mean nothing"
    else:
        places, share = _pca(features)
        said = f"by PCA: the two directions with the most variance, {share:.0%} of it"
        if find_spec("umap") is None:
            said += " (pip install umap-learn for a map that keeps neighbours together)"
    low, high = places.amin(dim=0), places.amax(dim=0)
    return (places - low) / (high - low).clamp_min(1e-12), said


def _umap(features: Tensor) -> Tensor:
    import umap

    neighbors = min(15, len(features) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed costs it its threads
        model: Any = umap.UMAP(n_neighbors=neighbors, metric="cosine", random_state=0)
        return torch.as_tensor(model.fit_transform(features.numpy())).double()


def _pca(features: Tensor) -> tuple[Tensor, float]:
    centred = F.normalize(features.double(), dim=1)
    centred = centred - centred.mean(dim=0)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    variance = values.square()
    share = float(variance[:2].sum() / variance.sum().clamp_min(1e-300))
    return left[:, :2] * values[:2], share
