"""botocore's models of AWS's services: operations, their members and their errors."""

from functools import cache

import botocore.loaders
import botocore.model


@cache
def _service(name: str) -> botocore.model.ServiceModel | None:
    loader = botocore.loaders.Loader()
    if name not in loader.list_available_services("service-2"):
        return None
    return botocore.model.ServiceModel(loader.load_service_model(name, "service-2"), name)


class Models:
    """The models of the operations of services."""

    def service(self, name: str) -> botocore.model.ServiceModel | None:
        """Returns the model of a service by the name that botocore gives it."""
        return _service(name)

    def operation(self, service: str, operation: str) -> botocore.model.OperationModel | None:
        """Returns the model of an operation."""
        model = self.service(service)
        return model.operation_model(operation) if model and operation in model.operation_names else None

    def members(self, service: str, operation: str) -> tuple[set[str] | None, set[str]]:
        """Returns the members of a request in PascalCase, and the required ones; None for an unknown operation."""
        model = self.operation(service, operation)
        if model is None:
            return None, set()
        shape = model.input_shape
        if shape is None:
            return set(), set()
        return {_pascal(name) for name in shape.members}, {_pascal(name) for name in shape.required_members}

    def errors(self, service: str, operation: str) -> set[str]:
        """Returns the names of the errors that an operation declares."""
        model = self.operation(service, operation)
        return {shape.name for shape in model.error_shapes} if model else set()


def _pascal(name: str) -> str:
    return name[:1].upper() + name[1:]
