# Calls what 9.2 defines, and waits for a message that both subscriptions of 9.5 match.
publish_state(client, "agent_b", "scout", "ready")
client.publish("swarm/agent_a/status", "up", qos=2).wait_for_publish(10)
assert heard.wait(10), "nothing came through the subscriptions of 9.5"
client.disconnect()
client.loop_stop()
