"""What the locustfile takes for a failure: python -m unittest loadtest.test_locustfile, with the Python of scripts/locust."""

import json
import unittest

import gevent
import locustfile
from gevent.server import StreamServer
from locust.env import Environment


def chunk(delta, finish=None):
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}) + "\n\n"


ROLE = chunk({"role": "assistant", "content": ""})
TEXT = chunk({"content": "Hello"})
STOP = chunk({}, "stop")
USAGE = 'data: {"choices":[],"usage":{"total_tokens":3}}\n\n'
DONE = "data: [DONE]\n\n"

# What is sent, and what is said of it; None if nothing is wrong with it.
CASES = {
    "whole": (ROLE + TEXT + STOP + USAGE + DONE, None),
    "with comments": (": wait\n\n" + ROLE + ": wait\n\n" + TEXT + STOP + DONE, None),
    "reasoning first": (chunk({"reasoning_content": "Hm."}) + TEXT + STOP + DONE, None),
    "lines with CR": ((ROLE + TEXT + STOP + DONE).replace("\n", "\r\n"), None),
    "no DONE": (ROLE + TEXT + STOP, "without [DONE]"),
    "no finish": (ROLE + TEXT + DONE, "no finish_reason"),
    "says nothing": (ROLE + STOP + DONE, "no content"),
    "an error event": (ROLE + TEXT + 'event: error\ndata: {"error":{"message":"It broke."}}\n\n', "It broke."),
    "an error alone": ('data: {"error":{"message":"It broke."}}\n\n', "It broke."),
    "garbage": (ROLE + "data: {oops\n\n" + DONE, "Expecting property name"),
    "something behind": (ROLE + TEXT + STOP + DONE + TEXT, "something follows"),
    "empty": ("", "without [DONE]"),
}


def serve(socket, _):
    """Answers what the model of the request says."""
    file = socket.makefile("rb")
    while True:
        line, length = file.readline(), 0
        if not line:
            return
        while (header := file.readline().strip()) != b"":
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = json.loads(file.read(length))
        if b"register" in line:
            answer(socket, "201 Created", "application/json", '{"token":"of-the-test"}')
            continue
        model = body["model"]
        if model == "refused":
            answer(socket, "503 Service Unavailable", "application/json", '{"error":{"message":"Busy."}}')
            continue
        socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Request-Id: req_1\r\n\r\n")
        if model == "cut":
            socket.sendall(b"%x\r\n%s\r\n" % (len(TEXT), TEXT.encode()))
            socket.close()
            return
        for piece in split(CASES[model][0].encode(), 7):  # events come in any pieces
            socket.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        socket.sendall(b"0\r\n\r\n")


def split(data, size):
    return [data[i : i + size] for i in range(0, len(data), size)]


def answer(socket, status, kind, body):
    socket.sendall(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


class Answers(unittest.TestCase):
    def setUp(self):
        self.server = StreamServer(("127.0.0.1", 0), serve)
        self.server.start()
        self.addCleanup(self.server.stop)
        self.environment = Environment(user_classes=[locustfile.StressUser])
        self.rows = []
        self.environment.events.request.add_listener(lambda **row: self.rows.append(row))
        here = type("StressUser", (locustfile.StressUser,), {"host": f"http://127.0.0.1:{self.server.server_port}"})
        self.user = here(self.environment)
        self.user.on_start()
        self.assertEqual([(r["name"], r["exception"]) for r in self.rows], [("register", None)])
        self.assertEqual(self.user.headers["Authorization"], "Bearer of-the-test")
        self.rows.clear()

    def ask(self, model, check=None):
        with gevent.Timeout(10):
            self.user.chat("it", model, "Hello", check)
        return self.rows

    def test_answers(self):
        for name, (_, problem) in CASES.items():
            with self.subTest(name):
                self.rows.clear()
                first, whole = self.ask(name)
                self.assertEqual((first["name"], first["exception"], whole["name"]), ("it, first text", None, "it"))
                self.assertEqual(whole["context"]["request_id"], "req_1")
                if problem is None:
                    self.assertIsNone(whole["exception"])
                    self.assertLessEqual(first["response_time"], whole["response_time"])
                else:
                    self.assertIn(problem, str(whole["exception"]))

    def test_cut(self):
        _, whole = self.ask("cut")
        self.assertIn("cut", str(whole["exception"]))

    def test_refused(self):
        (only,) = self.ask("refused")
        self.assertIn("503", str(only["exception"]))
        self.assertIn("Busy.", str(only["exception"]))

    def test_nobody(self):
        self.server.stop()
        self.user.client.client.clientpool.close()
        (only,) = self.ask("whole")
        self.assertIsNotNone(only["exception"])

    def test_check(self):
        _, whole = self.ask("whole", locustfile.thought)
        self.assertIn("no reasoning", str(whole["exception"]))
        self.rows.clear()
        _, whole = self.ask("reasoning first", locustfile.thought)
        self.assertIsNone(whole["exception"])


if __name__ == "__main__":
    unittest.main()
