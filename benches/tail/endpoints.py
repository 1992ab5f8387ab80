"""The four endpoints of a run: started, told to be slow, killed, started again, counted."""

import http.client
import json

import processes

CONFIG = "endpoint.json"


class Endpoint:
    def __init__(self, servers, binary, cpu, number, law, seed):
        self.servers, self.command, self.cpu = servers, (CONFIG, [binary]), cpu
        self.name, self.values = f"e{number}", {"SEED": seed, "LAW": json.dumps(law)}
        self.counted, self.used = 0, 0.0  # requests, and CPU seconds, of those of its processes that were killed
        self.start(port=None)
        self.port = self.server.port

    def start(self, port):
        self.server = self.servers.start(self.name, self.command, self.cpu, self.values, port)

    def change(self, what):
        match what:
            case "kill":
                self.counted, self.used = self.received(), self.cpu_seconds()
                self.server.kill()
            case "start":
                self.start(self.port)
            case law:
                self.ask("PUT", "/control", json.dumps(law))

    def received(self):
        """Requests since the start of the run, those that were never answered included. Ask while it lives."""
        return self.counted + json.loads(self.ask("GET", "/count"))["received"]

    def cpu_seconds(self):
        return self.used + self.server.cpu_seconds()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise processes.Failure(f"{self.name}: {method} {path} is answered {answer.status}: {text}")
        return text
