# 9.6 ends with connect(); this shows that the connection works.
client.loop_start()
client.publish("swarm/private", "over TLS", qos=1).wait_for_publish(10)
assert client.is_connected()
client.disconnect()
client.loop_stop()
