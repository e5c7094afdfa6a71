/**
 * The program that the guard measures the broker against: the least that still is MQTT between a publisher and its
 * subscribers, on the same runtime and the same sockets. It finds where packets end, passes every PUBLISH on to all
 * subscribers as it came, and acknowledges. It keeps nothing, knows one topic, and must not become faster or slower: a change
 * here moves every limit of the guard.
 *
 *   node bench/guard/reference.ts PORT
 */
import { createServer, type Socket } from 'node:net'

const port = Number(process.argv[2])
/** Publishers wait while a subscriber has more than this to read. */
const unsentBytesMax = 4 * 1_048_576
const connack = Buffer.from([0x20, 2, 0, 0])
const pingresp = Buffer.from([0xd0, 0])
const sockets = new Set<Socket>()
const subscribers = new Set<Socket>()
let stalled = false

createServer({ noDelay: true }, (socket) => {
  let rest: Buffer | undefined
  sockets.add(socket)
  socket.on('drain', resume)
  socket.on('error', () => undefined)
  socket.on('close', () => {
    sockets.delete(socket)
    subscribers.delete(socket)
    resume()
  })
  socket.on('data', (chunk) => {
    const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk])
    const end = take(socket, bytes)
    rest = end < bytes.length ? bytes.subarray(end) : undefined
  })
}).listen(port, '127.0.0.1')

/** Serves the whole packets that are there; the end of the last one. */
function take(socket: Socket, bytes: Buffer): number {
  const answers: number[] = []
  let at = 0
  /** Where the PUBLISH packets begin that were not passed on yet. */
  let run = 0
  for (;;) {
    const body = bodyOf(bytes, at)
    if (body === undefined) break
    const first = bytes[at] as number
    const type = first >> 4
    if (type === 3) {
      const qos = (first >> 1) & 3
      const id = body.begin + 2 + bytes.readUInt16BE(body.begin)
      if (qos > 0) answers.push(qos === 1 ? 0x40 : 0x50, 2, bytes[id] as number, bytes[id + 1] as number)
    } else {
      if (at > run) pass(bytes.subarray(run, at))
      run = body.end
      answer(socket, type, bytes, body, answers)
    }
    at = body.end
  }
  if (at > run) pass(bytes.subarray(run, at))
  if (answers.length > 0) socket.write(Buffer.from(answers))
  return at
}

interface Body {
  readonly begin: number
  readonly end: number
}

function bodyOf(bytes: Buffer, at: number): Body | undefined {
  let length = 0
  for (let i = 1, shift = 0; at + i < bytes.length; i++, shift += 7) {
    const byte = bytes[at + i] as number
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) {
      const begin = at + i + 1
      return begin + length <= bytes.length ? { begin, end: begin + length } : undefined
    }
  }
  return undefined
}

function answer(socket: Socket, type: number, bytes: Buffer, { begin, end }: Body, answers: number[]): void {
  const [high = 0, low = 0] = [bytes[begin], bytes[begin + 1]]
  if (type === 1) socket.write(connack)
  else if (type === 5) answers.push(0x62, 2, high, low)
  else if (type === 6) answers.push(0x70, 2, high, low)
  else if (type === 8) {
    socket.write(Buffer.from([0x90, 3, high, low, bytes[end - 1] as number]))
    subscribers.add(socket)
  } else if (type === 12) socket.write(pingresp)
}

function pass(bytes: Buffer): void {
  for (const subscriber of subscribers) {
    subscriber.write(bytes)
    if (subscriber.writableLength > unsentBytesMax && !stalled) {
      stalled = true
      for (const socket of sockets) if (!subscribers.has(socket)) socket.pause()
    }
  }
}

function resume(): void {
  if (!stalled) return
  for (const { writableLength } of subscribers) if (writableLength > unsentBytesMax / 4) return
  stalled = false
  for (const socket of sockets) socket.resume()
}
