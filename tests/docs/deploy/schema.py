"""Reads compose and Kubernetes files and validates them against the schemas of Docker and Kubernetes, offline.

    schema.py compose FILE | schema.py kubernetes FILE…

Prints {"documents": {file: [document…]}, "faults": ["file: where: what"…]}.
"""

import json
import pathlib
import sys
import sysconfig

import jsonschema
import kubernetes_validate
import yaml

# the oldest API that the manifests are for, and the newest one known here
KUBERNETES = ["1.25", "1.37"]


class Strict(yaml.SafeLoader):
    """A key that stands twice is a fault, as it is for kubectl and compose."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"`{key}` stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.load_all(file, Loader=Strict) if document is not None]


def compose_faults(document):
    # the one file that is needed of a package whose own dependencies are not
    schema = pathlib.Path(sysconfig.get_paths()["purelib"]) / "compose/config/compose_spec.json"
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text()))
    for fault in validator.iter_errors(document):
        yield f"{'.'.join(map(str, fault.absolute_path))}: {fault.message}"


def kubernetes_faults(document):
    name = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as fault:
            yield f"{name}: {'.'.join(map(str, fault.absolute_path))}: {fault.message} (Kubernetes {version})"
        except kubernetes_validate.SchemaNotFoundError as fault:
            yield f"{name}: {fault.message}"


def main():
    faults_of = {"compose": compose_faults, "kubernetes": kubernetes_faults}[sys.argv[1]]
    documents, faults = {}, []
    for path in sys.argv[2:]:
        try:
            documents[path] = read(path)
        except yaml.YAMLError as fault:
            faults.append(f"{path}: {fault}")
            continue
        faults.extend(f"{path}: {fault}" for document in documents[path] for fault in faults_of(document))
    json.dump({"documents": documents, "faults": faults}, sys.stdout)


main()
