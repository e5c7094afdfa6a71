# What 9.6 takes for granted.
import paho.mqtt.client as mqtt
