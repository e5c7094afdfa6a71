/** A retained message as whoever embeds the broker sees it: a plain value, with what is left of its lifetime. */
import type { Message, PlacedMessage } from '@concordmq/state'
import type { InlineMessage } from '../api.ts'

/** `nowUs`: the time of the order, microseconds since 1970. */
export function retainedValue(placed: PlacedMessage, nowUs: number): InlineMessage {
  const { topic, payload, qos, properties, expirySeconds, publisher }: Message = placed.message
  const left = expirySeconds === undefined ? undefined : Math.ceil((placed.timeUs + expirySeconds * 1e6 - nowUs) / 1e6)
  return {
    topic,
    payload,
    qos,
    retain: true,
    publisher,
    ...((properties !== undefined || left !== undefined) && {
      properties: { ...properties, ...(left !== undefined && { messageExpiryInterval: left }) },
    }),
  }
}
