"""The certificates of the bench: an authority of its own, and what it signs."""

import subprocess

# Let's Encrypt gives the first by default; the other is what older shops have.
KEYS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}


def make(openssl, folder):
    """For each kind a certificate, its key, and both in one file, which is what HAProxy reads. Also `ca.pem`."""
    config = folder / "openssl.cnf"
    request = [openssl, "req", "-config", config, "-x509", "-nodes", "-days", "30"]
    ca, ca_key = folder / "ca.pem", folder / "ca.key"
    run([*request, "-newkey", *KEYS["ecdsa"], "-extensions", "authority", "-subj", "/CN=bench", "-keyout", ca_key, "-out", ca])
    for kind, key_words in KEYS.items():
        certificate, key = folder / f"{kind}.pem", folder / f"{kind}.key"
        signed = ["-CA", ca, "-CAkey", ca_key, "-extensions", "site", "-subj", "/CN=localhost"]
        run([*request, "-newkey", *key_words, *signed, "-keyout", key, "-out", certificate])
        key.chmod(0o644)
        (folder / f"{kind}-both.pem").write_text(certificate.read_text() + key.read_text())


def run(command):
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
