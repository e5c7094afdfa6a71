/** Reads what is known of a node: from a snapshot, which may come from another node, or from the disk. */
import type { Reader } from '../encoding/reader.ts'
import { NodeLife } from './node-life.ts'

/** Number and length: the least that a held bundle takes. */
const HELD_BYTES_MIN = 12

/** What is behind the key of the record, up to its end. */
export function readLife(node: number, reader: Reader): NodeLife {
  const life = new NodeLife(node, reader.u53())
  if (reader.left === 0) return life
  life.next = reader.u53()
  life.down = reader.flag()
  life.silentSinceUs = reader.u53()
  life.silentSteps = reader.u53()
  life.silentStep = reader.u53()
  if (life.next === 0) reader.fail('order of a node has not begun')
  let last = life.next
  for (let left = reader.count(HELD_BYTES_MIN); left > 0 && reader.problem === undefined; left--) {
    const number = reader.u53()
    if (number <= last) reader.fail('held bundles are not ascending')
    last = number
    if (!life.hold(number, reader.bytes())) reader.fail('too much is held for a node')
  }
  if (reader.left > 0) readSealed(life, reader)
  return life
}

function readSealed(life: NodeLife, reader: Reader): void {
  let last = -1
  for (let left = reader.count(8); left > 0 && reader.problem === undefined; left--) {
    const position = reader.u53()
    if (position <= last) reader.fail('sealed messages are not ascending')
    last = position
    if (!life.seal(position)) reader.fail('too many sealed messages of a node')
  }
  if (life.sealed.length === 0) reader.fail('sealed messages of a node are none')
}
