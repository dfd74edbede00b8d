"""Locations (sip peers): a record read whole and written whole.

A PUT overwrites: whatever the request leaves out goes back to nothing or its default (openapi: UpdateSipPeer).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # ruff: ignore[suspicious-xml-etree-import] - parse refuses doctypes
from collections.abc import Mapping
from xml.sax.saxutils import escape

from batcher.simulator.answers import document, element
from batcher.simulator.tnoptions import Refused, parse

#: Elements of a record, as XML by name, in the order in which they are answered.
Record = Mapping[str, str]

#: What stands in the answer where a record has nothing (ReadSipPeer 200); the others are absent then.
_DEFAULTS = {
    "IsDefaultPeer": "<IsDefaultPeer>false</IsDefaultPeer>",
    "VoiceHosts": "<VoiceHosts/>",
    "VoiceHostGroups": "<VoiceHostGroups/>",
    "TerminationHosts": "<TerminationHosts/>",
    "OriginationRoutePlan": "<OriginationRoutePlan/>",
    "CallingName": "<CallingName><Display>false</Display><Enforced>false</Enforced></CallingName>",
}
_FIELDS = [
    "PeerName",
    "Description",
    "IsDefaultPeer",
    "FinalDestinationUri",
    "VoiceHosts",
    "VoiceHostGroups",
    "TerminationHosts",
    "SmsHosts",
    "OriginationRoutePlan",
    "Address",
    "CallingName",
    "PremiseTrunks",
    "SsSendToCustomer",
    "CallVerificationEnabled",
    "PindropEnabled",
    "BillingIdentifier",
]
_PSTN = re.compile(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}@PSTN")
_SIP = re.compile(r"sip:[A-Za-z0-9+._-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")


def full_record(peer_name: str, final_destination_uri: str | None) -> Record:
    """A location with everything set that a careless PUT would lose."""
    record = {
        "PeerName": element("PeerName", peer_name),
        "Description": "<Description>simulated location</Description>",
        "IsDefaultPeer": "<IsDefaultPeer>true</IsDefaultPeer>",
        "VoiceHosts": (
            "<VoiceHosts><Host><HostName>192.0.2.1</HostName></Host><Host><HostName>192.0.2.2</HostName></Host>"
            "</VoiceHosts>"
        ),
        "TerminationHosts": (
            "<TerminationHosts><TerminationHost><HostName>198.51.100.9</HostName><Port>0</Port>"
            "<CustomerTrafficAllowed>DOMESTIC</CustomerTrafficAllowed><DataAllowed>true</DataAllowed>"
            "</TerminationHost></TerminationHosts>"
        ),
        "Address": (
            "<Address><HouseNumber>1600</HouseNumber><StreetName>PENNSYLVANIA AVE NW</StreetName>"
            "<City>Washington</City><StateCode>DC</StateCode><Zip>20500</Zip><Country>United States</Country>"
            "<AddressType>Service</AddressType></Address>"
        ),
        "CallingName": "<CallingName><Display>true</Display><Enforced>true</Enforced></CallingName>",
    }
    if final_destination_uri is not None:
        record["FinalDestinationUri"] = element("FinalDestinationUri", final_destination_uri)
    return record


def read_record(body: bytes) -> Record:
    """The record that a PUT asks for; Refused with the carrier's code otherwise."""
    peer = parse(body, "SipPeer")
    name = (peer.findtext("PeerName") or "").strip()
    if not name:
        raise Refused("13500", "Peer Name is required")
    if len(name) > 50:
        raise Refused("13501", f"Peer Name '{name}' is too long. Max length 50 characters")
    if len(peer.findtext("Description") or "") > 50:
        raise Refused("13503", f"Description '{peer.findtext('Description')}' is too long. Max length 50 characters")
    uri = (peer.findtext("FinalDestinationUri") or "").strip()
    if uri and not _PSTN.fullmatch(uri) and not _SIP.fullmatch(uri):
        raise Refused("13510", f"'{uri}' is not a valid Destination URI")
    return {child.tag: _xml(child) for child in peer if child.tag in _FIELDS and not _is_empty(child)}


def answer(record: Record, peer_id: str) -> str:
    """`<SipPeerResponse>` with the whole record."""
    fields = "".join(record.get(name) or _DEFAULTS.get(name, "") for name in _FIELDS)
    return document(f"<SipPeerResponse><SipPeer><PeerId>{escape(peer_id)}</PeerId>{fields}</SipPeer></SipPeerResponse>")


def _xml(child: ET.Element) -> str:
    child.tail = None
    return ET.tostring(child, encoding="unicode")


def _is_empty(child: ET.Element) -> bool:
    return len(child) == 0 and not (child.text or "").strip()
