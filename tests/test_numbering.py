"""The metadata of area codes and other countries, against the library that it comes from and against lists by hand."""

from __future__ import annotations

import random
from typing import Any

import phonenumbers
import pyarrow as pa

from batcher import numbering, tn


def test_agrees_with_libphonenumber_on_other_countries():
    """Its metadata read directly says what is_possible_number and is_valid_number say of the same digits."""
    rng = random.Random(2)
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions if code != 1 else ():
            metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            example = (metadata.mobile or metadata.fixed_line or metadata.general_desc).example_number or "812345678"
            for _ in range(10):
                place = rng.randrange(len(example))
                typed = example[:place] + rng.choice(("", "0", "1", "5", "77")) + example[place + 1 :]
                zeros = len(typed) - len(str(int(typed)))
                number = phonenumbers.PhoneNumber(
                    country_code=code,
                    national_number=int(typed),
                    italian_leading_zero=zeros > 0,
                    number_of_leading_zeros=zeros,
                )
                if len(f"{code}{typed}") > 15:
                    continue
                reason, warnings = numbering.abroad(int(f"{code}{typed}"))
                both = numbering.all_abroad(pa.array([f"{code}{typed}"]))
                assert [column.tolist() for column in both] == [[reason], [warnings]], number
                possible = (
                    phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
                )
                assert (reason == 0) == possible, number
                assert (reason == 0 and warnings == 0) == phonenumbers.is_valid_number(number), number


def test_area_codes_of_the_metadata():
    """Canada and the Caribbean are told from the United States and their territories, new area codes from none."""
    canada = (
        "204 226 236 249 250 257 263 273 289 306 343 354 365 367 368 382 403 416 418 428 431 437 438 450 468 474 506 514 "
        "519 548 579 581 584 587 604 613 639 647 672 683 705 709 742 753 778 780 782 807 819 825 867 873 879 902 905 942"
    )
    caribbean = "268 264 246 441 242 767 809 829 849 473 658 876 869 345 758 664 721 649 868 784 284"
    for npa in map(int, f"{canada} {caribbean}".split()):
        assert numbering.of_npa(npa) == tn.MASK["NOT_US"], npa
    for npa in (201, 212, 919, 983, 274, 684, 671, 670, 787, 939, 340, 800, 833, 888, 900, 500, 533):
        assert numbering.of_npa(npa) == 0, npa
    for npa in (370, 379, 960, 969, 729, 211, 911, 290, 371):
        assert numbering.of_npa(npa) == tn.MASK["NPA_UNRECOGNIZED"], npa


def test_area_codes_in_service_are_known():
    """Those that the metadata lacks are no reason to warn, nor to refuse under strict rules."""
    for npa in sorted(tn.IN_SERVICE):
        for rules in (tn.Rules(), tn.Rules(strict=True)):
            assert tn.parse(f"{npa}2340123", rules, numbering=numbering.of_npa) == (10_002_340_123 + npa * 10**7, 0, 0)
