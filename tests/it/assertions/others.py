"""Client assertions in the hands of somebody else: PyJWT verifies, msal signs.

    others.py verify CERTIFICATE AUDIENCE ISSUER     with the assertion on standard input
    others.py sign CERTIFICATE KEY ENDPOINT CLIENT CA sha1|sha256

Both print one JSON object with the header and the claims; `sign` also posts the assertion to the
token endpoint, which must be of this machine, and prints the status of its answer.
"""

import base64
import json
import sys
from urllib.parse import urlsplit

import jwt
import msal
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes

CLAIMS = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"]


def certificate(path):
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificate(file.read())


def thumbprint(certificate, algorithm):
    return base64.urlsafe_b64encode(certificate.fingerprint(algorithm)).rstrip(b"=").decode()


def show(assertion, **more):
    claims = jwt.decode(assertion, options={"verify_signature": False})
    print(json.dumps({"header": jwt.get_unverified_header(assertion), "claims": claims, **more}))


def verify(path, audience, issuer):
    assertion = sys.stdin.read()
    signed_by = certificate(path)
    header = jwt.get_unverified_header(assertion)
    named = {"RS256": ("x5t", hashes.SHA1()), "PS256": ("x5t#S256", hashes.SHA256())}
    name, algorithm = named[header["alg"]]
    if header[name] != thumbprint(signed_by, algorithm):
        sys.exit("the thumbprint is of another certificate")
    claims = jwt.decode(
        assertion,
        signed_by.public_key(),
        algorithms=[header["alg"]],
        audience=audience,
        issuer=issuer,
        options={"require": CLAIMS},
    )
    if claims["sub"] != issuer:
        sys.exit("the subject is not the issuer")
    show(assertion)


class Answer:
    def __init__(self, body):
        self.status_code, self.text, self.headers = 200, json.dumps(body), {}

    def raise_for_status(self):
        pass


class Entra:
    """Stands in for the network below msal, and keeps the assertion that it would have sent."""

    def __init__(self, endpoint):
        self.endpoint, self.assertion = endpoint, None

    def get(self, url, **_):
        issuer = self.endpoint.rsplit("/oauth2/", 1)[0]
        return Answer({
            "issuer": issuer + "/v2.0",
            "authorization_endpoint": issuer + "/oauth2/v2.0/authorize",
            "token_endpoint": self.endpoint,
        })

    def post(self, url, data=None, **_):
        self.assertion = data["client_assertion"]
        if isinstance(self.assertion, bytes):
            self.assertion = self.assertion.decode()
        return Answer({"access_token": "t", "token_type": "Bearer", "expires_in": 3599})

    def close(self):
        pass


def sign(path, key, endpoint, client, ca, form):
    if urlsplit(endpoint).hostname not in ("127.0.0.1", "localhost"):
        sys.exit("the endpoint is not of this machine")
    with open(key) as file:
        credential = {"private_key": file.read()}
    if form == "sha1":
        credential["thumbprint"] = certificate(path).fingerprint(hashes.SHA1()).hex()
    else:
        with open(path) as file:
            credential["public_certificate"] = file.read()
    entra = Entra(endpoint)
    application = msal.ConfidentialClientApplication(
        client,
        client_credential=credential,
        authority=endpoint.rsplit("/oauth2/", 1)[0],
        http_client=entra,
        instance_discovery=False,
    )
    application.acquire_token_for_client(["https://manage.office.com/.default"])
    form = {
        "grant_type": "client_credentials",
        "resource": "https://manage.office.com",
        "client_id": client,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": entra.assertion,
    }
    answer = requests.post(endpoint, data=form, verify=ca, timeout=20)
    show(entra.assertion, status=answer.status_code, said=answer.text)


if __name__ == "__main__":
    {"verify": verify, "sign": sign}[sys.argv[1]](*sys.argv[2:])
