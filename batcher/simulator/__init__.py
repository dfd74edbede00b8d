"""The carrier's API on this machine: real HTTP, no account needed, nothing leaves the machine."""

from batcher.simulator.account import Account, read_account
from batcher.simulator.app import create_app, serve
from batcher.simulator.faults import Fault, read_faults
from batcher.simulator.options import Options, Rule, SipPeerEntry

__all__ = [
    "Account",
    "Fault",
    "Options",
    "Rule",
    "SipPeerEntry",
    "create_app",
    "read_account",
    "read_faults",
    "serve",
]
