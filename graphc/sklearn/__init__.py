"""Networks as estimators of scikit-learn: in its pipelines, searches and cross-validations.

    search = GridSearchCV(gx.sklearn.Classifier(), {"hidden": [(32,), (64, 64)]})
    search.fit(x, labels).best_estimator_.export("build")

Needs scikit-learn: pip install 'graphc-compiler[sklearn]'.
"""

from graphc.errors import UnsupportedError
from graphc.installed import install_hint

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise UnsupportedError(
        f"gx.sklearn needs scikit-learn: {error}", hint=install_hint("sklearn", "scikit-learn")
    ) from error

from graphc.sklearn.estimators import Classifier, Regressor, Transformer

__all__ = ["Classifier", "Regressor", "Transformer"]
