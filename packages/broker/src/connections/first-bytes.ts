/** First bytes of the packets that make up the exchanges of QoS 1 and 2 ([MQTT 5.0] 2.1). */
export const PUBACK = 0x40
export const PUBREC = 0x50
export const PUBREL = 0x62
export const PUBCOMP = 0x70
