"""What the paho client must find true of a broker, in one version over one transport.

    python3 paho-checks.py 3|4|5 tcp|tls|websockets|wss PORT CAFILE

Ends with 0 and a line per check, or with a traceback. Runs with paho 1.6 and 2.
"""
import queue
import sys
import warnings

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

warnings.simplefilter("ignore", DeprecationWarning)
version, transport, port, cafile = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
v5 = version == mqtt.MQTTv5
prefix = f"paho/{version}/{transport}"
SECONDS = 15


class Client:
    """A paho client with its network loop in a thread, and what it was told in queues."""

    def __init__(self, name, keep=False, will=None):
        kept = {} if v5 else {"clean_session": not keep}
        self.client = mqtt.Client(
            client_id=f"p{version}{transport[:3]}{name}",
            protocol=version,
            transport="websockets" if transport in ("websockets", "wss") else "tcp",
            **kept,
        )
        self.keep = keep
        self.messages, self.told = queue.Queue(), queue.Queue()
        self.client.on_message = lambda client, userdata, message: self.messages.put(message)
        self.client.on_connect = lambda client, userdata, flags, *rest: self.told.put(("connected", flags))
        self.client.on_subscribe = lambda client, userdata, mid, codes, *rest: self.told.put(("subscribed", codes))
        self.client.on_unsubscribe = lambda *rest: self.told.put(("unsubscribed", None))
        self.client.on_disconnect = lambda *rest: self.told.put(("disconnected", None))
        if transport in ("tls", "wss"):
            self.client.tls_set(ca_certs=cafile)
        if will is not None:
            self.client.will_set(*will)
        self.connect()

    def connect(self):
        options = {}
        if v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 60 if self.keep else 0
            options = {"clean_start": not self.keep, "properties": properties}
        self.client.connect("127.0.0.1", port, **options)
        self.client.loop_start()
        self.flags = self.expect("connected")

    def expect(self, what):
        got, value = self.told.get(timeout=SECONDS)
        assert got == what, f"{got} instead of {what}"
        return value

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos=qos)
        (code,) = self.expect("subscribed")
        assert getattr(code, "value", code) == qos, code

    def publish(self, topic, payload, qos, retain=False, properties=None):
        options = {"properties": properties} if v5 else {}
        info = self.client.publish(topic, payload, qos, retain, **options)
        info.wait_for_publish(SECONDS)
        assert info.is_published()

    def receive(self, topic, payload, qos, retain=False):
        message = self.messages.get(timeout=SECONDS)
        got = (message.topic, message.payload, message.qos, bool(message.retain))
        assert got == (topic, payload, qos, retain), got[:1] + (len(got[1]),) + got[2:]
        return message

    def disconnect(self):
        self.client.disconnect()
        self.expect("disconnected")
        self.client.loop_stop()


def check(text):
    print(text, flush=True)


publisher, subscriber = Client("pub"), Client("sub")

for qos in (0, 1, 2):
    topic = f"{prefix}/qos/{qos}"
    subscriber.subscribe(topic, qos)
    for n in range(20):
        publisher.client.publish(topic, str(n), qos)
    for n in range(20):
        subscriber.receive(topic, str(n).encode(), qos)
check("every QoS, in order")

topic = f"{prefix}/large"
subscriber.subscribe(topic, 2)
for size in (0, 1, 127, 128, 16_384, 1 << 20):
    payload = bytes(n * 7 % 251 for n in range(min(size, 251))) * (size // 251 + 1)
    publisher.publish(topic, payload[:size], 2)
    subscriber.receive(topic, payload[:size], 2)
check("payloads up to 1 MiB")

topic = f"{prefix}/retained"
publisher.publish(topic, b"kept", 1, retain=True)
subscriber.subscribe(topic, 1)
subscriber.receive(topic, b"kept", 1, retain=True)
publisher.publish(topic, b"", 1, retain=True)
subscriber.receive(topic, b"", 1)
late = Client("late")
late.subscribe(topic, 1)
publisher.publish(topic, b"live", 1)
late.receive(topic, b"live", 1)
late.disconnect()
subscriber.receive(topic, b"live", 1)
check("retained, and cleared")

topic = f"{prefix}/will"
subscriber.subscribe(topic, 2)
polite = Client("polite", will=(topic, b"polite", 2))
polite.disconnect()
lost = Client("lost", will=(topic, b"lost", 2))
lost.client.loop_stop()
lost.client.socket().close()
subscriber.receive(topic, b"lost", 2)
check("the will of a lost connection, and of no other")

topic = f"{prefix}/session"
kept = Client("kept", keep=True)
kept.subscribe(topic, 2)
kept.disconnect()
publisher.publish(topic, b"one", 1)
publisher.publish(topic, b"two", 2)
kept.connect()
# 3.1 has no session present flag.
present = kept.flags["session present"] if isinstance(kept.flags, dict) else kept.flags.session_present
assert bool(present) == (version > 3), kept.flags
kept.receive(topic, b"one", 1)
kept.receive(topic, b"two", 2)
kept.disconnect()
check("a kept session and what was queued for it")

topic = f"{prefix}/unsubscribed"
subscriber.subscribe(topic, 1)
subscriber.client.unsubscribe(topic)
subscriber.expect("unsubscribed")
publisher.publish(topic, b"unheard", 1)
publisher.publish(f"{prefix}/qos/1", b"heard", 1)
subscriber.receive(f"{prefix}/qos/1", b"heard", 1)
check("unsubscribed")

if v5:
    topic = f"{prefix}/properties"
    subscriber.subscribe(topic, 1)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = "answers"
    properties.CorrelationData = b"\x00\xff"
    properties.ContentType = "text/plain"
    properties.UserProperty = [("colour", "red"), ("colour", "blue")]
    publisher.publish(topic, b"x", 1, properties=properties)
    got = subscriber.receive(topic, b"x", 1).properties
    assert (got.ResponseTopic, got.CorrelationData, got.ContentType) == ("answers", b"\x00\xff", "text/plain")
    assert got.UserProperty == [("colour", "red"), ("colour", "blue")], got.UserProperty
    check("properties")

publisher.disconnect()
subscriber.disconnect()
check("done")
