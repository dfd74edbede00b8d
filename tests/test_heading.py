"""Files that were put together: a header with other columns is refused wherever it stands, and no row of data is."""

from __future__ import annotations

import pytest

from batcher.errors import InputError
from batcher.table import open_source


def rows(folder, text):
    (folder / "numbers.csv").write_bytes(text.encode())
    with open_source(folder / "numbers.csv") as source:
        return sum(batch.frame.num_rows for batch in source.batches())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Dest,TN\n8042105760,2015551234\nTN,Dest\n2015551235,8042105761\n", id="turned"),
        pytest.param("TN,Dest,Fax\n2015551234,x,y\nTN,Fax,Dest\n2015550004,a,b\n", id="the first stays"),
        pytest.param("TN,Dest\n2015551234,x\n\ufeffDest,TN\n2015550005,2015550006\n", id="BOM"),
        pytest.param("TN,Dest\n2015551234,x\ndest, tn\n2015550005,2015550006\n", id="case and blank"),
        pytest.param("Phone Number,Fax Number\n9195550100,x\nFaxNumber,PhoneNumber\ny,9195550101\n", id="joined"),
        pytest.param(
            "Phone Number,Fax Number\n9195550100,x\nfax_number,phone_number\ny,9195550101\n", id="underscores"
        ),
        pytest.param("TN,Fax\n9195550100,x\nFax:,TN:\ny,9195550101\n", id="colons"),
        pytest.param("TN,Fax\n9195550100,x\n\u00a0Fax,\tTN\ny,9195550101\n", id="odd blanks"),
        pytest.param("TN,Name,City\n2015551234,x,y\nFax,Name,TN\n2015550005,c,2015550006\n", id="a strange name"),
        pytest.param("TN,Name\n2015551234,x\nFax,TN\n2015550005,2015550006\n", id="TN and a strange name"),
        pytest.param("TN,Name\n2015551234,x\nFax,Name,TN\n2015550005,c,2015550006\n", id="longer"),
        pytest.param("TN,Name,City\n2015551234,x,y\nFax,TN\n2015550005,2015550006\n", id="shorter"),
        pytest.param("TN,Name,City\n2015551234,x,y\nFax,Name,City\n2015550005,x,y\n", id="only the TN is another"),
        pytest.param("TN,Name\n2015551234,x\nMobile,Name\n2015550005,x\n", id="of two only the TN is another"),
        pytest.param("TN,Name\n2015551234,x\nFax,Name,Zip\n2015550005,x,27601\n", id="longer, the TN is another"),
        pytest.param("Name,Phone\nBob,9195550100\nPhone,Phone 2\n9195550101,9195550199\n", id="a digit in a name"),
        pytest.param("TN,Name\n9195550100,Al\nFax,Name,TN,Address1\n9195550199,B,9195550101,x\n", id="longer, a digit"),
        pytest.param("Phone,555-0100\nDest,TN\n2015550009,2015550001\n", id="below a title"),
        pytest.param("Phone,Name\n2015551234,x\nFax,Phone\n2015550005,2015550006\n", id="a word above a number"),
        pytest.param("Name,TN\nBob,9195550100\nPhone,Mobile\n,9195550199\n9195550101,x\n", id="not at once"),
        pytest.param("Name,TN\nBob,9195550100\nPhone,Mobile\n-----,-----\n9195550101,x\n", id="a line between"),
        pytest.param("TN\n9195550100\nFax,TN\n9195550199,9195550101\n", id="in a single column"),
        pytest.param("TN,To,Due 2026\n9195550100,9195550199,5\nTo,TN,Due 2026\n9195550198,9195550101,7\n", id="year"),
        pytest.param("TN,To,2\n9195550100,9195550199,5\nTo,TN,2\n9195550198,9195550101,7\n", id="digits alone"),
        pytest.param(
            "TN,To,A\n9195550100,9195550199,5\nTo,TN,As of 2026-11-30\n9195550198,9195550101,7\n", id="a date"
        ),
        pytest.param("TN\n9195550100\nFax\n9195550199\n", id="a single column of something else"),
        pytest.param("TN,x\n9195550100,1\nFax Number,y\n9195550199,2\n", id="nothing in common"),
        pytest.param("TN,Dest\n9195550100,x\nDestination,Source TN\n9195550199,y\n", id="nothing in common, of two"),
        pytest.param("TN,Fax,A\n+441224003018,x,5\nFax,TN,B\n+441224003020,+441224003021,7\n", id="abroad"),
        pytest.param(
            "TN,Fax,A\n9195550100,x,5\nFax,TN,B\n" + ",,\n" * 25 + "9195550199,9195550101,7\n", id="far above"
        ),
        pytest.param("9195550100\nAcme Corp\nTN\n9195550101\n", id="numbers above the first header"),
        pytest.param("Acme\n9195550100\nRaleigh\nTN\n9195550101\n", id="a number among titles"),
    ],
)
def test_a_header_with_other_columns_is_refused(tmp_path, text):
    """What stands below it would be something else than its column says."""
    with pytest.raises(InputError, match=r"row [0-9]+ is a header with other columns .*PARSE_ERROR"):
        rows(tmp_path, text)


@pytest.mark.parametrize("padding", range(0, 40, 7))
def test_at_the_border_of_two_blocks(tmp_path, padding):
    """A word in the last row of one, the number that proves it in the next."""
    lines = f"{'x' * padding},9195550100\n" + "Bob,9195550100\n" * 70_000 + "Phone,Mobile\n"
    text = "Name,TN\n" + lines + "9195550101,9195550198\n" * 70_000
    with pytest.raises(InputError, match="row 70,002 is a header with other columns"):
        rows(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Dest,TN\na,2015551234\nDest,TN\nb,2015551235\n", id="the same again"),
        pytest.param("TN,Dest\n2015551234,a\n\ufefftn,DEST\n2015551235,b\n", id="with BOM and in capitals"),
        pytest.param("TN,Type\n2015551234,Phone\n2015551235,number\nn/a,tn\n,DID\n2015551236,x\n", id="words"),
        pytest.param("TN,Note\n2015551234,a\nNORTHEAST,\n2015551235,phone it\n", id="other words"),
        pytest.param("Name,Phone,City,State\nAl,9195550100,x,NC\nBob,,Nashville,TN\nC,n/a,y,TN\n", id="Tennessee"),
        pytest.param("Name,Phone,State,Type\nBob,,TN,Phone\nAl,9195550100,NC,Fax\n", id="two words"),
        pytest.param("Phone,User,Fax\n9195550100,Al,\n,Fax,\n9195550101,Bo,\n", id="another column's name"),
        pytest.param("Name,Phone,Main,Home\nAl,9195550100,,\nMain,,,\nBo,9195550101,,\n", id="a region"),
        pytest.param("Firma,Kunde,Art\nx,2015551234,y\nAcme,phone,X\n", id="a word in the middle"),
        pytest.param("Phone,State,Type\n2012345678,NJ,DID\n,TN,DID\n", id="nothing but names"),
        pytest.param("Phone,Carrier,Note\n2012345678,VZ,\n,carrier,unassigned\n", id="the name in its column"),
        pytest.param("Phone,Fax,Note\n2012345678,,\nnone,fax,unknown number\n", id="no number"),
        pytest.param("Phone,Name\n2012345678,Al\nfax,Bob\n2012345679,Cy\n", id="a remark in place of a number"),
        pytest.param("TN,SMS,Fax\n2012345678,SMS,\n919-234-0124 x45,,Fax\n2012345679,SMS,Fax\n", id="an extension"),
        pytest.param("TN,Name,Active\n919-234-O124,Ann,Active\n2012345679,Bob,\n", id="a letter for a digit"),
        pytest.param("TN,Active\n9.19234E+09,Active\n2012345679,\n", id="scientific notation"),
        pytest.param("TN,Status\nunlisted,Status\n2012345679,\n", id="no number, in another word"),
        pytest.param(
            "TN,Use,Notes\n2015550134,desk,call 201-555-0199\n,spare,number\n,lobby,tel\n2015550135,x,alt 201-555-0198\n",
            id="a remark that is a name, above a remark with a number",
        ),
    ],
)
def test_what_is_no_other_header_is_a_row(tmp_path, text):
    """The same header once more is counted as no data; a word in a row of data is one."""
    assert rows(tmp_path, text) == len(text.splitlines()) - 1


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Phone,Name,State\n" + "n/a,Ann,TN\n" * 200_000, id="the same line"),
        pytest.param("Phone,Name,State\n" + "TN,x\n" * 200_000, id="ragged"),
        pytest.param("Phone,Name,State\n" + "".join(f"n/a,Ann{n},TN\n" for n in range(100_000)), id="all different"),
        pytest.param(f"TN,{','.join(f'c{n}' for n in range(999))}\n" + ("x" + "," * 999 + "TN\n") * 1_000, id="wide"),
    ],
)
@pytest.mark.timeout(30)
def test_words_that_may_be_names_take_no_time(tmp_path, text):
    """Customers in Tennessee without a telephone: looked at once for each different line."""
    assert rows(tmp_path, text) == text.count("\n") - 1
