/**
 * What a topic name may be (5.0 section 4.7, 3.1.1 section 4.7).
 *
 * These are the rules for names that a program gives. Names on the wire are checked in place, byte by byte, by
 * `packets/publish.ts`. Absent: rules about the number of levels and about `$`, which are the broker's policy.
 */
import { stringBytesMax, stringProblem, utf8Length } from '../utf8.ts'

/** What is wrong with a topic name, as the end of a sentence ("is empty"), or undefined. */
export function topicNameProblem(topic: string): string | undefined {
  if (topic.length === 0) return 'is empty' // [MQTT-4.7.3-1]
  let plain = true
  for (let i = 0; i < topic.length; i++) {
    const unit = topic.charCodeAt(i)
    if (unit === 0x23 || unit === 0x2b) return 'contains a wildcard' // [MQTT-4.7.0-1]
    if (unit === 0 || unit >= 0x80) plain = false
  }
  const problem = plain ? undefined : stringProblem(topic)
  if (problem === 'nul') return 'contains U+0000' // [MQTT-4.7.3-2]
  if (problem === 'illFormed') return 'contains a lone surrogate'
  if (topic.length * 3 > stringBytesMax && utf8Length(topic) > stringBytesMax) return 'is longer than 65,535 bytes' // [MQTT-4.7.3-3]
  return undefined
}
