#!/usr/bin/env python3
"""Writes what the partners of the benchmark send: for oha a body or a URL a line, for the example `load` a JSON object a
line. Everyone in it is invented. Standard library and the command openssl alone.

    requests.py rows COUNT         a file of entitlements, CP932, to standard output
    requests.py lines HUB FOLDER   the requests of all lines, about the first people of that file"""

import base64
import datetime
import hashlib
import json
import pathlib
import subprocess
import sys
import time
import urllib.parse

PAYER = "81440018"
HOSPITAL = "4419929999"
# So many people are asked about in each line of the price list, none of them in two lines.
SUBJECTS, READ, GUARDIANS, MOTHERS = 20000, 5000, 200, 2000
FHIR, JSON = {"content-type": "application/fhir+json"}, {"content-type": "application/json"}
RECIPIENT = "urn:tsunagi:identifier:recipient"


def recipient(row):
    return f"T{row:09}"


def joined(row):
    return f"{PAYER}:{recipient(row)}"


def line(method, path, headers, body=""):
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return json.dumps({"method": method, "path": path, "headers": headers, "body": text}, ensure_ascii=False)


def consent(patient):
    now = datetime.datetime.now(datetime.timezone.utc)
    said = lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "resourceType": "Consent", "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "INFA"}]}],
        "patient": patient, "dateTime": said(now),
        "provision": {"type": "permit", "period": {"start": said(now), "end": said(now + datetime.timedelta(hours=20))}},
    }


def eligibility(row, with_consent):
    contained = [{"resourceType": "Patient", "id": "patient", "identifier": [{"system": RECIPIENT, "value": joined(row)}]}]
    if with_consent:
        contained.append(consent({"reference": "#patient"}) | {"id": "consent"})
    return {"resourceType": "CoverageEligibilityRequest", "status": "active", "purpose": ["validation"],
            "contained": contained, "patient": {"reference": "#patient"}}


def vaccination(row, number):
    patient = {
        "resourceType": "Patient", "id": "patient",
        "identifier": [
            {"system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicPayerNumber", "value": PAYER},
            {"system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicInsuredPersonNumber", "value": recipient(row)},
            {"system": "urn:tsunagi:identifier:municipality", "value": "442011"},
        ],
        "name": [{"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation",
                                 "valueCode": "IDE"}], "text": "架空花子"}],
        "birthDate": f"{2020 + row % 5}-{row % 12 + 1:02}-{row % 28 + 1:02}", "gender": "female" if row % 2 else "male",
    }
    institution = {
        "resourceType": "Organization", "id": "institution",
        "identifier": [
            {"system": "urn:tsunagi:identifier:role", "value": "issuer"},
            {"system": "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no", "value": HOSPITAL},
        ],
    }
    return {
        "resourceType": "Immunization",
        "meta": {"profile": ["http://jpfhir.jp/fhir/core/StructureDefinition/JP_Immunization"]},
        "contained": [patient, institution],
        "identifier": [{"system": "urn:tsunagi:identifier:document", "value": number}],
        "status": "completed",
        "vaccineCode": {"coding": [{"system": "urn:tsunagi:code:vaccine_kind", "code": "mr"}]},
        "patient": {"reference": "#patient"},
        "occurrenceDateTime": datetime.date.today().isoformat(),
        "performer": [{"actor": {"reference": "#institution", "type": "Organization"}}],
        "lotNumber": f"LOT-{row % 5000}",
        "doseQuantity": {"value": 0.5, "system": "http://unitsofmeasure.org", "code": "mL"},
        "protocolApplied": [{"doseNumberPositiveInt": 1}],
    }


def batch(rows):
    entry = [{"resource": vaccination(row, "B-@N@"), "request": {"method": "POST", "url": "Immunization"}} for row in rows]
    return {"resourceType": "Bundle", "type": "batch", "entry": entry}


def entitlements(count):
    """The file of an older subsidy system; each row is another child."""
    columns = ("宛名番号,負担者番号,受給者番号,漢字氏名,ｶﾅ氏名,生年月日,性別,住所,不開示フラグ,団体ｺｰﾄﾞ,証種別,受給者証名,助成ｺｰﾄﾞ,"
               "常に償還払い,有効開始日,有効終了日")
    yield f"{columns}\r\n"
    for row in range(1, count + 1):
        born = f"令和{row % 7 + 2}年{row % 12 + 1}月{row % 28 + 1}日"
        yield (f"A{row:09},{PAYER},{recipient(row)},架空花子,ｶｸｳ ﾊﾅｺ,{born},{row % 2 + 1},大分県大分市架空町{row % 9 + 1}丁目{row % 80 + 1}番,"
               f"0,442011,KODOMO01,子ども医療費受給資格者証,1,0,令和8年4月1日,令和9年3月31日\r\n")


def mothers():
    """The file of the municipality whose mothers have gone home for the birth."""
    columns = "宛名番号,手帳番号,漢字氏名,ｶﾅ氏名,生年月日,性別,医機ｺｰﾄﾞ,整理番号,団体ｺｰﾄﾞ,健診回数,診察月日,妊娠週数,妊娠日数,体重,収縮期血圧,拡張期血圧,梅毒,喫煙"
    rows = [f"M{n:09},2027-{n:06},里見帰子,ｻﾄﾐｶｴﾘｺ,H07.05.20,2,{HOSPITAL},MB-{n:06},442011,5,R08.05.12,20,3,54.2,118,72,1,0"
            for n in range(MOTHERS)]
    return "".join(f"{text}\r\n" for text in [columns, *rows]).encode("cp932")


def asked(n):
    return {"purpose": "PUBHLTH", "legalBasis": "母子保健法19条の2", "tenants": ["oita"], "kinds": ["checkup_maternal"],
            "subject": {"system": "maternal_handbook", "value": f"2027-{n:06}"}}


def token(hub, sub):
    """A citizen's token, bound to the app's certificate: what the issuer of the demo would give."""
    text = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    pem = (hub / "partners/app-techo/app-techo.pem").read_text()
    leaf = base64.b64decode(pem.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0])
    now = int(time.time())
    claims = {"iss": "https://id.example.jp", "aud": "tsunagi-demo", "sub": sub, "iat": now, "exp": now + 86400,
              "cnf": {"x5t#S256": text(hashlib.sha256(leaf).digest())}}
    parts = [{"typ": "JWT", "alg": "ES256", "kid": "demo"}, claims]
    said = ".".join(text(json.dumps(part).encode()) for part in parts)
    sign = ["openssl", "dgst", "-sha256", "-keyform", "DER", "-sign", hub / "partners/issuer/issuer.key"]
    signature = subprocess.run(sign, input=said.encode(), capture_output=True, check=True).stdout
    # DER to two numbers of 32 octets: SEQUENCE { INTEGER r, INTEGER s }.
    r_length = signature[3]
    numbers = [signature[4:4 + r_length], signature[6 + r_length:]]
    return f"{said}.{text(b''.join(number.lstrip(bytes(1)).rjust(32, bytes(1)) for number in numbers))}"


def main():
    if sys.argv[1] == "rows":
        for text in entitlements(int(sys.argv[2])):
            sys.stdout.buffer.write(text.encode("cp932"))
        return
    hub, folder = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    write = lambda name, lines: (folder / name).write_text("".join(f"{text}\n" for text in lines))
    plain = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def posts(name, path, headers, bodies):
        write(f"{name}.txt", (plain(body) for body in bodies))
        write(f"{name}.jsonl", (line("POST", path, headers, body) for body in bodies))

    on_file, along, without = (range(1 + SUBJECTS * part, 1 + SUBJECTS * (part + 1)) for part in range(3))
    submit = "/fhir/CoverageEligibilityRequest/$submit"

    write("consents.jsonl", (line("POST", submit, FHIR, eligibility(row, True)) for row in on_file))
    posts("eligibility", submit, FHIR, [eligibility(row, False) for row in on_file])
    posts("eligibility-consent", submit, FHIR, [eligibility(row, True) for row in along])
    posts("refused", submit, FHIR, [eligibility(row, False) for row in without])

    read = on_file[:READ]
    write("vaccinations.jsonl", (line("POST", "/fhir/Immunization", FHIR, vaccination(row, f"R-{row}")) for row in read))
    named = lambda row: {"identifier": {"system": RECIPIENT, "value": joined(row)}}
    write("read-consents.jsonl", (line("POST", "/fhir/Consent", FHIR, consent(named(row))) for row in read))
    asking = lambda row: urllib.parse.quote(f"{RECIPIENT}|{joined(row)}", safe="")
    paths = [f"/fhir/Immunization?patient.identifier={asking(row)}" for row in read]
    write("read.txt", (f"https://127.0.0.1:@PORT@{path}" for path in paths))
    write("read.jsonl", (line("GET", path, {}) for path in paths))

    write("submit.jsonl", (line("POST", "/fhir/Immunization", FHIR, vaccination(row, "S-@N@")) for row in along))
    groups = zip(*[iter(without)] * 100)
    write("batch.jsonl", (line("POST", "/fhir/Bundle", FHIR, batch(group)) for group in groups))

    (folder / "mothers.csv").write_bytes(mothers())
    posts("request", "/v1/requests", JSON, [asked(n) for n in range(MOTHERS)])

    tokens = [JSON | {"authorization": f"Bearer {token(hub, f'bench-{n}')}"} for n in range(GUARDIANS)]
    link = lambda n: {"system": "recipient", "value": joined(read[n]), "issuer": "https://id.example.jp",
                      "sub": f"bench-{n}", "relationship": "proxy"}
    write("links.jsonl", (line("POST", "/v1/links", JSON, link(n)) for n in range(GUARDIANS)))
    agreed = {"effect": "permit", "recipient": {"participant": "app-techo"}}
    write("app-consents.jsonl", (line("POST", "/app/v1/consents", headers, agreed) for headers in tokens))
    write("app.jsonl", (line("GET", "/app/v1/records?kind=vaccination", headers) for headers in tokens))


if __name__ == "__main__":
    main()
