"""A new vendor's repository and its keys in one go; and signing anew what is there.

    create_repository(repository, keys, NewRepository(products=("sample-engine",), …), now)
    refresh(repository, keys, now, roles=("targets",))

Keys are made as ``root-1`` … ``root-n``, ``targets``, ``online`` (snapshot and timestamp) and one
``product-<name>`` each. The names are for people: a key is found by its id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tuf.api.metadata import DelegatedRole, Delegations, Root, Snapshot, Targets, Timestamp

from engineshed_packages.errors import Refused
from engineshed_packages.files import write_file
from engineshed_packages.metadata.cache import MetadataFile
from engineshed_packages.repository import Repository
from engineshed_packages.repository.keys import KeyFolder
from engineshed_packages.repository.published import Published
from engineshed_packages.repository.signing import Signer, described
from engineshed_packages.target import check_product


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRepository:
    """What a new repository is to have.

    Attributes:
        products: one delegated, terminating role each.
        root_keys, threshold: how many root keys there are, and how many must sign a root.

    Raises:
        Refused: code ``keys-plan``. TargetRefused: code ``product-name``.
    """

    products: tuple[str, ...]
    root_keys: int = 3
    threshold: int = 2

    def __post_init__(self) -> None:
        for product in self.products:
            check_product(product)
        if not self.products or len(set(self.products)) != len(self.products):
            raise Refused("keys-plan", f"expected one or more different products, found {self.products}")
        if not 1 <= self.threshold <= self.root_keys <= 16:
            raise Refused(
                "keys-plan",
                f"expected 1 <= threshold <= root keys <= 16, found {self.threshold} of {self.root_keys}",
            )


def create_repository(
    repository: Repository, keys: KeyFolder, plan: NewRepository, now: datetime
) -> Published:
    """Make the keys and the first set of metadata; ``repository.first_root()`` is then to be handed out.

    Raises:
        Refused: code ``repository-exists``.
        KeyUnusable: a key of that name exists, or signing is not possible.
    """
    if repository.metadata.exists() and any(repository.metadata.iterdir()):
        raise Refused(
            "repository-exists", f"{repository.metadata} is not empty: a repository is made only once"
        )
    root = Root(version=1, consistent_snapshot=True)
    for number in range(1, plan.root_keys + 1):
        root.add_key(keys.generate(f"root-{number}"), Root.type)
    root.roles[Root.type].threshold = plan.threshold
    root.add_key(keys.generate("targets"), Targets.type)
    online = keys.generate("online")
    root.add_key(online, Snapshot.type)
    root.add_key(online, Timestamp.type)
    targets = Targets(version=1, delegations=Delegations(keys={}, roles={}))
    for product in plan.products:
        _delegate(targets, product, keys)
    signer = Signer(keys, now)
    files = [signer.role_file(Root.type, root, root), signer.role_file(Targets.type, targets, root)]
    meta = {"targets.json": described(files[1], targets.version)}
    for product in plan.products:
        file = signer.role_file(product, Targets(version=1), targets)
        meta[f"{product}.json"] = described(file, 1)
        files.append(file)
    _write_all(repository, [*files, *signer.online_files(root, meta, before=None)])
    return repository.published()


def refresh(
    repository: Repository, keys: KeyFolder, now: datetime, *, roles: Iterable[str] = ()
) -> Published:
    """Sign the timestamp anew, the snapshot when it is due, and each of *roles*, their content unchanged.

    Raises:
        Refused: code ``role-unknown``.
        Conflict, KeyUnusable: as ``Repository.publish``.
    """
    with repository.draft() as draft:
        for role in roles:
            if role == Root.type:
                draft.root_renewed = True
            elif role in draft.base.roles:
                draft.change(role)
            elif role not in (Snapshot.type, Timestamp.type):
                known = ", ".join([Root.type, *draft.base.roles])
                raise Refused("role-unknown", f"the repository has no role {role!r}; it has {known}")
        return repository.publish(draft, keys, now)


def _delegate(targets: Targets, product: str, keys: KeyFolder) -> None:
    """Give the product a role of its own name; afterwards it is only ever found by walking delegations."""
    role = DelegatedRole(product, keyids=[], threshold=1, terminating=True, paths=[f"{product}/*/*"])
    if targets.delegations is not None and targets.delegations.roles is not None:
        targets.delegations.roles[product] = role
    targets.add_key(keys.generate(f"product-{product}"), product)


def _write_all(repository: Repository, files: list[MetadataFile]) -> None:
    repository.metadata.mkdir(parents=True, exist_ok=True)
    repository.targets.mkdir(parents=True, exist_ok=True)
    for file in files:
        write_file(repository.metadata / file.name, file.data)
