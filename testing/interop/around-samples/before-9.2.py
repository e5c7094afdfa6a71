# What the pieces 9.2 to 9.5 of the document take for granted: the client of 9.1, without its endless loop.
import threading

import paho.mqtt.client as mqtt

heard = threading.Event()


def on_message(client, userdata, msg):
    print(f"[{msg.topic}] {msg.payload.decode()}")
    if msg.topic == "swarm/agent_a/status":
        heard.set()


client = mqtt.Client(protocol=mqtt.MQTTv5)
client.username_pw_set("myagent", "mypassword")
client.on_message = on_message
client.connect("127.0.0.1", 1883)
client.loop_start()
state = {"role": "scout"}
