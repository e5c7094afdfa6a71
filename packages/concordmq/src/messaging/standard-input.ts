/** Standard input as lines of bytes: payloads need not be text. */
import { CommandError } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'

/** Longest line and longest input taken: the largest payload that MQTT can carry. */
const BYTES_MAX = 268_435_455

export interface InputLines {
  /** The next line without its end, or undefined at the end of input. */
  next(): Promise<Buffer | undefined>
  /** Everything that is left. */
  rest(): Promise<Buffer>
}

export function openInput(input: AsyncIterable<Buffer>): InputLines {
  const chunks = input[Symbol.asyncIterator]()
  let pending: Buffer[] = []
  let pendingBytes = 0
  let ended = false

  async function more(): Promise<Buffer | undefined> {
    const chunk = ended ? { done: true as const, value: undefined } : await chunks.next()
    if (chunk.done === true) {
      ended = true
      return undefined
    }
    pendingBytes += chunk.value.length
    if (pendingBytes > BYTES_MAX) {
      throw new CommandError(
        ExitCode.usage,
        `Cannot read standard input: more than ${BYTES_MAX} bytes for one message`,
        {
          remedy: 'Split it into several messages',
        },
      )
    }
    pending.push(chunk.value)
    return chunk.value
  }
  function take(): Buffer {
    const all = Buffer.concat(pending)
    pending = []
    pendingBytes = 0
    return all
  }

  return {
    async next() {
      let chunk: Buffer | undefined = pending.length === 0 ? await more() : take()
      if (chunk !== undefined && pending.length === 0) {
        pending.push(chunk)
        pendingBytes = chunk.length
      }
      while (chunk !== undefined && chunk.indexOf(10) < 0) chunk = await more()
      if (chunk === undefined && pendingBytes === 0) return undefined
      const all = take()
      const end = all.indexOf(10)
      if (end < 0) return all
      if (end + 1 < all.length) {
        pending.push(all.subarray(end + 1))
        pendingBytes = all.length - end - 1
      }
      return all.subarray(0, all[end - 1] === 13 ? end - 1 : end)
    },
    async rest() {
      while ((await more()) !== undefined);
      return take()
    },
  }
}
