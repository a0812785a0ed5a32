"""The deep-learning canon as one toolkit. The public names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepcanon.classify.predict import Classifier as Classifier
    from deepcanon.core.catalog import create_model as create_model
    from deepcanon.core.catalog import list_models as list_models
    from deepcanon.core.errors import DeepcanonError as DeepcanonError
    from deepcanon.style.predict import Stylizer as Stylizer

__version__ = "0.1.0"
__all__ = [
    "Classifier",
    "DeepcanonError",
    "Stylizer",
    "__version__",
    "create_model",
    "list_models",
]

# Lazy (PEP 562): `import deepcanon` costs nothing, and no name here drags torch in.
_HOMES = {
    "Classifier": "deepcanon.classify.predict",
    "DeepcanonError": "deepcanon.core.errors",
    "Stylizer": "deepcanon.style.predict",
    "create_model": "deepcanon.core.catalog",
    "list_models": "deepcanon.core.catalog",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepcanon' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
