"""`NeuralNetClassifier` and `NeuralNetRegressor`: a module with the habits of a scikit-learn estimator.

They work wherever scikit-learn takes an estimator: pipelines, cross-validation, searches over hyper-parameters. Nobody
in the project imports this room, only those who ask for it, because it needs scikit-learn (extra `data`), whose
conventions hold here: a constructor checks nothing and changes nothing, what is learned ends in `_`, and wrong data is
refused in scikit-learn's own words.
"""

from tensorgraph.errors import MissingPackageError

try:
    from sklearn.utils.validation import validate_data
except ImportError:
    raise MissingPackageError(
        "tensorgraph.nn.sklearn: scikit-learn 1.6 or newer is not installed",
        hint='pip install "tensorgraph[data]", or pip install "scikit-learn>=1.6"',
    ) from None

from tensorgraph.nn.sklearn.classifier import NeuralNetClassifier
from tensorgraph.nn.sklearn.regressor import NeuralNetRegressor

__all__ = ["NeuralNetClassifier", "NeuralNetRegressor"]
