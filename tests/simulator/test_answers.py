"""The simulator's answers beside the carrier's published examples (openapi_v1.yml, openapi_v2.yml, failover guide)."""

from __future__ import annotations

import pytest

from tests.simulator.talk import group, order, paths, talk, tree

DATES = ("OrderCreateDate", "LastModifiedDate", "OrderId", "lastModifiedDate", "OrderDate")

FAILOVER_REQUEST = """<TnOptionOrder><CustomerOrderId>TnOptionOrder1</CustomerOrderId>
<TnOptionGroups><TnOptionGroup>
  <FinalDestinationURI>sip:+12345678901@1.2.3.4:5060</FinalDestinationURI>
  <TelephoneNumbers><TelephoneNumber>2013452345</TelephoneNumber><TelephoneNumber>2013452346</TelephoneNumber>
  </TelephoneNumbers></TnOptionGroup></TnOptionGroups></TnOptionOrder>"""

FAILOVER_201 = """<TnOptionOrderResponse><TnOptionOrder>
    <OrderCreateDate>2016-01-15T12:01:14.324Z</OrderCreateDate>
    <AccountId>14</AccountId>
    <CreatedByUser>jbm</CreatedByUser>
    <OrderId>ddbdc72e-dc27-490c-904e-d0c11291b095</OrderId>
    <LastModifiedDate>2016-01-15T12:01:14.324Z</LastModifiedDate>
    <ProcessingStatus>RECEIVED</ProcessingStatus>
    <CustomerOrderId>TnOptionOrder1</CustomerOrderId>
    <TnOptionGroups><TnOptionGroup>
      <FinalDestinationURI>sip:+12345678901@1.2.3.4:5060</FinalDestinationURI>
      <TelephoneNumbers>
        <TelephoneNumber>2013452345</TelephoneNumber><TelephoneNumber>2013452346</TelephoneNumber>
      </TelephoneNumbers>
    </TnOptionGroup></TnOptionGroups>
    <ErrorList/>
</TnOptionOrder></TnOptionOrderResponse>"""

GET_200 = """<TnOptionOrder>
  <OrderCreateDate>2016-01-15T11:22:58.789Z</OrderCreateDate>
  <AccountId>14</AccountId>
  <CreatedByUser>jbm</CreatedByUser>
  <OrderId>409033ee-88ec-43e3-85f3-538f30733963</OrderId>
  <LastModifiedDate>2016-01-15T11:22:58.969Z</LastModifiedDate>
  <ProcessingStatus>COMPLETE</ProcessingStatus>
  <TnOptionGroups>
    <TnOptionGroup><CallingNameDisplay>on</CallingNameDisplay><Sms>on</Sms>
      <TelephoneNumbers><TelephoneNumber>+12174101601</TelephoneNumber></TelephoneNumbers></TnOptionGroup>
    <TnOptionGroup><CallingNameDisplay>off</CallingNameDisplay>
      <TelephoneNumbers><TelephoneNumber>+12174101602</TelephoneNumber></TelephoneNumbers></TnOptionGroup>
    <TnOptionGroup><CallingNameDisplay>systemdefault</CallingNameDisplay>
      <FinalDestinationURI>sip:+12345678901@1.2.3.4:5060</FinalDestinationURI>
      <TelephoneNumbers><TelephoneNumber>+12174101603</TelephoneNumber></TelephoneNumbers></TnOptionGroup>
  </TnOptionGroups>
  <ErrorList/>
  <Warnings><Warning>
      <TelephoneNumber>+12174101601</TelephoneNumber>
      <Description>SMS is already Enabled or number is in processing.</Description>
  </Warning></Warnings>
</TnOptionOrder>"""

LIST_200 = """<TnOptionOrders>
  <TotalCount>1</TotalCount>
  <TnOptionOrderSummary>
     <accountId>14</accountId>
     <CountOfTNs>2</CountOfTNs>
     <userId>jbm</userId>
     <lastModifiedDate>2016-01-15T12:01:14.363Z</lastModifiedDate>
     <OrderDate>2016-01-15T12:01:14.324Z</OrderDate>
     <OrderType>tn_option</OrderType>
     <OrderStatus>FAILED</OrderStatus>
     <OrderId>ddbdc72e-dc27-490c-904e-d0c11291b095</OrderId>
  </TnOptionOrderSummary>
</TnOptionOrders>"""

FAILED_DETAILS_200 = """<TnOptionOrders>
  <TotalCount>1</TotalCount>
  <TnOptionOrder>
     <OrderCreateDate>2016-01-15T12:01:14.324Z</OrderCreateDate>
     <AccountId>14</AccountId>
     <CreatedByUser>jbm</CreatedByUser>
     <OrderId>ddbdc72e-dc27-490c-904e-d0c11291b095</OrderId>
     <LastModifiedDate>2016-01-15T12:01:14.363Z</LastModifiedDate>
     <ProcessingStatus>FAILED</ProcessingStatus>
     <TnOptionGroups>
        <TnOptionGroup>
           <NumberFormat>10digit</NumberFormat>
           <CallForward>+16042661720</CallForward>
           <Protected>true</Protected>
           <TelephoneNumbers><TelephoneNumber>+12018551020</TelephoneNumber></TelephoneNumbers>
        </TnOptionGroup>
        <TnOptionGroup>
           <Sms>off</Sms>
           <TelephoneNumbers><TelephoneNumber>+12018551025</TelephoneNumber></TelephoneNumbers>
        </TnOptionGroup>
     </TnOptionGroups>
     <ErrorList>
        <Error><Code>5076</Code><Description>Telephone number is not available.</Description>
           <TelephoneNumber>+12018551020</TelephoneNumber></Error>
        <Error><Code>5076</Code><Description>Telephone number is not available.</Description>
           <TelephoneNumber>+12018551025</TelephoneNumber></Error>
     </ErrorList>
  </TnOptionOrder>
</TnOptionOrders>"""

WRONG_FORMAT_400 = """<TnOptionOrderResponse><ResponseStatus>
    <ErrorCode>5081</ErrorCode><Description>Number Format 'wrong' is invalid.</Description>
</ResponseStatus></TnOptionOrderResponse>"""

MISSING_404 = """<TnOptionOrderReportResponse><ResponseStatus>
    <Description>The resource does not exist</Description>
</ResponseStatus></TnOptionOrderReportResponse>"""

CHECKER_REQUEST = """<ImportTnCheckerPayload><TelephoneNumbers>
    <TelephoneNumber>+13032281000</TelephoneNumber>
    <TelephoneNumber>+14109235436</TelephoneNumber>
    <TelephoneNumber>+14104685864</TelephoneNumber>
  </TelephoneNumbers><SiteId>486</SiteId><SipPeerId>500025</SipPeerId></ImportTnCheckerPayload>"""

CHECKER_200 = """<ImportTnCheckerResponse><ImportTnCheckerPayload>
    <TelephoneNumbers><TelephoneNumber>+13032281000</TelephoneNumber></TelephoneNumbers>
    <ImportTnErrors><ImportTnError>
        <Code>19006</Code>
        <Description>Bandwidth numbers cannot be imported by this account at this time.</Description>
        <TelephoneNumbers>
          <TelephoneNumber>+14104685864</TelephoneNumber>
          <TelephoneNumber>+14109235436</TelephoneNumber>
        </TelephoneNumbers>
    </ImportTnError></ImportTnErrors>
</ImportTnCheckerPayload></ImportTnCheckerResponse>"""

CHECKER_400 = """<ImportTnCheckerResponse>
<Errors><Code>7201</Code><Description>+161746052083 is not a valid NANP telephone number.</Description></Errors>
<Errors><Code>7201</Code><Description>+161746052082 is not a valid NANP telephone number.</Description></Errors>
</ImportTnCheckerResponse>"""

SIPPEER_400 = """<SipPeerResponse><ResponseStatus>
  <ErrorCode>13563</ErrorCode>
  <Description>Sip Peer '316167' account '14' and site '45' does not exist</Description>
</ResponseStatus></SipPeerResponse>"""

SIPPEER_200 = """<SipPeerResponse><SipPeer>
  <PeerId>304985</PeerId>
  <PeerName>CNAM-TEST-778</PeerName>
  <Description>description</Description>
  <IsDefaultPeer>false</IsDefaultPeer>
  <VoiceHosts/><VoiceHostGroups/><TerminationHosts/><OriginationRoutePlan/>
  <Address>
     <HouseNumber>1600</HouseNumber><HouseSuffix/><PreDirectional/>
     <StreetName>PENNSYLVANIA AVE NW</StreetName><StreetSuffix/><PostDirectional/><AddressLine2/>
     <City>Washington</City><StateCode>DC</StateCode><Zip>20500</Zip><PlusFour/><County/>
     <Country>United States</Country><AddressType>Service</AddressType>
  </Address>
  <CallingName><Display>false</Display><Enforced>false</Enforced></CallingName>
</SipPeer></SipPeerResponse>"""

TN_DETAILS_400 = """<TelephoneNumberResponse><ResponseStatus>
 <ErrorCode>12512</ErrorCode><Description>Telephone number '123456789' is not valid</Description>
</ResponseStatus></TelephoneNumberResponse>"""

TN_DETAILS_200 = """<TelephoneNumberResponse><TelephoneNumberDetails>
  <City>JERSEY CITY</City><Lata>224</Lata><State>NJ</State><FullNumber>+12018981023</FullNumber><Tier>0</Tier>
  <VendorId>49</VendorId><VendorName>Bandwidth CLEC</VendorName><OnNetVendor>true</OnNetVendor>
  <RateCenter>JERSEYCITY</RateCenter><Status>Inservice</Status><AccountId>14</AccountId>
  <Site><Id>479</Id><Name>site_9b08f</Name></Site>
  <SipPeer><PeerId>500014</PeerId><PeerName>a2750fad-3</PeerName><IsDefaultPeer>true</IsDefaultPeer></SipPeer>
  <ServiceTypes><ServiceType>Voice</ServiceType><ServiceType>Messaging</ServiceType></ServiceTypes>
  <LastModified>2014-07-30T11:29:37.000Z</LastModified><InServiceDate>2014-07-30T11:29:37.000Z</InServiceDate>
  <Features/><MessagingSettings><SmsEnabled>true</SmsEnabled></MessagingSettings>
  <TnAttributes><TnAttribute>Protected</TnAttribute></TnAttributes>
</TelephoneNumberDetails></TelephoneNumberResponse>"""

TNS_200 = """<TelephoneNumbersResponse>
    <TelephoneNumberCount>1</TelephoneNumberCount>
    <Links><first>Link=&lt;https://dashboard.bandwidth.com/api/tns&gt;;rel="first";</first></Links>
    <TelephoneNumbers><TelephoneNumber>
            <City>INDIANAPOLIS</City><Lata>336</Lata><State>IN</State><FullNumber>+13172000000</FullNumber>
            <Tier>0</Tier><VendorId>49</VendorId><VendorName>Bandwidth CLEC</VendorName>
            <RateCenter>INDIANAPLS</RateCenter><Status>Inservice</Status><AccountId>753</AccountId>
            <LastModified>2016-11-16T19:34:22.000Z</LastModified>
    </TelephoneNumber></TelephoneNumbers>
    <ErrorList><Error><Code>15610</Code><Description>Telephone Numbers cannot be found on accounts</Description>
        <TelephoneNumbers><TelephoneNumber>+13172110285</TelephoneNumber></TelephoneNumbers>
    </Error></ErrorList>
</TelephoneNumbersResponse>"""


async def test_an_accepted_order_answers_as_in_the_failover_guide():
    """The 201 of the guide's request is the guide's, ids and dates apart; Location ends in the id of the body."""
    async with talk() as carrier:
        answered = await carrier.post("tnoptions", FAILOVER_REQUEST, api="v1")
    assert answered.status == 201
    assert tree(answered.text, masked=DATES) == tree(FAILOVER_201, masked=DATES)
    assert answered.headers["Location"] == (
        f"https://dashboard.bandwidth.com:443/v1.0/accounts/14/tnoptions/{answered.one('OrderId')}"
    )
    assert answered.headers["Content-Type"] == "application/xml; charset=utf-8"


async def test_a_settled_order_answers_as_published():
    """GET of one order: bare root, lower-case systemdefault, warnings without code (GetTnOptionOrder 200)."""
    warning = {"tns": ["+12174101601"], "text": "SMS is already Enabled or number is in processing."}
    request = "<TnOptionOrder><TnOptionGroups>" + (
        group("+12174101601", options="<CallingNameDisplay>on</CallingNameDisplay><Sms>on</Sms>")
        + group("+12174101602", options="<CallingNameDisplay>off</CallingNameDisplay>")
        + group(
            "+12174101603",
            options="<CallingNameDisplay>systemDefault</CallingNameDisplay>"
            "<FinalDestinationURI>sip:+12345678901@1.2.3.4:5060</FinalDestinationURI>",
        )
        + "</TnOptionGroups></TnOptionOrder>"
    )
    async with talk(options={"warning": [warning]}) as carrier:
        order_id = (await carrier.post("tnoptions", request)).one("OrderId")
        answered = await carrier.get(f"tnoptions/{order_id}")
    assert answered.status == 200
    assert tree(answered.text, masked=DATES) == tree(GET_200, masked=DATES)


async def test_lists_answer_as_published():
    """Summaries call the status OrderStatus; orderDetails=true gives whole orders, one TN to an error."""
    request = "<TnOptionOrder><TnOptionGroups>" + (
        group(
            "+12018551020",
            options="<NumberFormat>10digit</NumberFormat><CallForward>+16042661720</CallForward>"
            "<PortOutPasscode>a1b2c3</PortOutPasscode><Protected>true</Protected>",
        )
        + group("+12018551025", options="<Sms>off</Sms>")
        + "</TnOptionGroups></TnOptionOrder>"
    )
    async with talk(options={"holds": ["+1919*"]}) as carrier:
        await carrier.post("tnoptions", request)
        summaries = await carrier.get("tnoptions")
        details = await carrier.get("tnoptions?orderDetails=true")
    assert tree(summaries.text, masked=DATES) == tree(LIST_200, masked=DATES)
    assert tree(details.text, masked=DATES) == tree(FAILED_DETAILS_200, masked=DATES)


async def test_a_refused_and_a_missing_order_answer_as_published():
    """400 and 404 come in their own envelopes; the 404 has no code."""
    async with talk() as carrier:
        wrong = await carrier.post("tnoptions", order("+12018551020", options="<NumberFormat>wrong</NumberFormat>"))
        missing = await carrier.get("tnoptions/ddbdc72e-dc27-490c-904e-d0c11291b095")
    assert (wrong.status, tree(wrong.text)) == (400, tree(WRONG_FORMAT_400))
    assert (missing.status, tree(missing.text)) == (404, tree(MISSING_404))


async def test_the_checker_answers_as_published():
    """200 with the importable TNs and errors by code; 400 names every bad TN in a flat Errors of its own."""
    rule = {
        "tns": ["+1410*"],
        "operation": "import-tn-checker",
        "code": "19006",
        "text": "Bandwidth numbers cannot be imported by this account at this time.",
    }
    wrong = CHECKER_REQUEST.replace("+13032281000", "+161746052083").replace("+14109235436", "+161746052082")
    async with talk(options={"error": [rule]}) as carrier:
        checked = await carrier.post("importTnChecker", CHECKER_REQUEST)
        refused = await carrier.post("importTnChecker", wrong)
    assert (checked.status, tree(checked.text)) == (200, tree(CHECKER_200))
    assert (refused.status, tree(refused.text)) == (400, tree(CHECKER_400))


async def test_locations_answer_as_published():
    """The record of the published example, written and read back, is the published answer; a missing one is 400."""
    body = SIPPEER_200.replace("<SipPeerResponse>", "").replace("</SipPeerResponse>", "")
    async with talk(options={"sippeer": [{"site_id": "45", "sippeer_id": "304985"}]}) as carrier:
        written = await carrier.ask("PUT", "sites/45/sippeers/304985", body)
        read = await carrier.get("sites/45/sippeers/304985")
        missing = await carrier.get("sites/45/sippeers/316167")
    assert (written.status, tree(written.text)) == (200, tree(SIPPEER_200))
    assert (read.status, tree(read.text)) == (200, tree(SIPPEER_200))
    assert (missing.status, tree(missing.text)) == (400, tree(SIPPEER_400))


async def test_tn_look_ups_answer_as_published():
    """Tndetails and the list of TNs have the published nesting; a bad TN is 12512."""
    options = {"holds": ["+13172000000", "+12018981023"]}
    protect = order("+12018981023", options="<Protected>true</Protected>")
    tns = "<TnList><Tn>+13172000000</Tn><Tn>+13172110285</Tn></TnList>"
    async with talk(options=options) as carrier:
        await carrier.post("tnoptions", protect)
        details = await carrier.get("/api/v2/tns/+12018981023/tndetails")
        bad = await carrier.get("/api/v2/tns/123456789/tndetails")
        listed = await carrier.post("/api/v2/tns", tns)
    assert (details.status, paths(details.text)) == (200, paths(TN_DETAILS_200))
    assert (bad.status, tree(bad.text)) == (400, tree(TN_DETAILS_400))
    assert (listed.status, paths(listed.text)) == (200, paths(TNS_200))


@pytest.mark.parametrize(
    ("api", "tn", "forward"),
    [
        pytest.param("v1", "9195550123", "6042661720", id="v1 ten digits"),
        pytest.param("v2", "+19195550123", "+16042661720", id="v2 E.164"),
    ],
)
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(("9195550123", "6042661720"), id="ten digits"),
        pytest.param(("+19195550123", "+16042661720"), id="E.164"),
    ],
)
async def test_each_version_answers_in_its_own_form(api, tn, forward, asked):
    """Both versions take both forms; each answers in its own, errors included."""
    rule = {"tns": ["+1919*"], "code": "5074", "text": "Telephone number is not in service."}
    request = order(asked[0], options=f"<CallForward>{asked[1]}</CallForward>")
    async with talk(options={"error": [rule]}) as carrier:
        posted = await carrier.post("tnoptions", request, api=api)
        found = await carrier.get(f"tnoptions/{posted.one('OrderId')}", api=api)
    assert posted.all("TelephoneNumber") == [tn]
    assert posted.one("CallForward") == forward
    assert found.all("TelephoneNumber") == [tn, tn]


async def test_text_is_escaped_and_passcodes_are_not_echoed():
    """What a client wrote comes back as text, never as markup; passcodes do not come back at all."""
    options = "<RewriteUser>a&amp;b&lt;c</RewriteUser><PortOutPasscode>a1b2c3</PortOutPasscode>"
    async with talk() as carrier:
        answered = await carrier.post("tnoptions", order("+19195550123", options=options))
    assert answered.one("RewriteUser") == "a&b<c"
    assert "a1b2c3" not in answered.text
