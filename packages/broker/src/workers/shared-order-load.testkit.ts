/** A thread of the load test in `shared-order.test.ts`: puts numbered bundles in, reads those of all, and says what it saw. */
import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { type SharedMemory, SharedOrder } from './shared-order.ts'

const { memory, worker, bundles } = workerData as {
  readonly memory: SharedMemory
  readonly worker: number
  readonly bundles: number
}
const order = new SharedOrder(memory, worker)
const alive = setInterval(() => {}, 1000)
const hash = createHash('sha256')
const problems: string[] = []
const expected = new Array<number>(memory.workers).fill(0)
let put = 0
let read = 0
let last = -1
let changes = 0

function turn(): void {
  order.stayAwake()
  const before = put
  for (let i = 0; i < 5 && put < bundles && order.put(bundleOf(worker, put), { timeUs: put, more: false }); i++) put++
  if (put > before) order.ring()
  for (let entry = order.read(); entry !== undefined; entry = order.read()) {
    const number = expected[entry.worker] as number
    expected[entry.worker] = number + 1
    if (entry.place !== read) problems.push(`entry ${read} has number ${entry.place}`)
    if (entry.bytes === undefined || !Buffer.from(entry.bytes).equals(bundleOf(entry.worker, number))) {
      problems.push(`bundle ${number} of worker ${entry.worker} is another`)
    }
    if (entry.worker !== last) changes++
    last = entry.worker
    hash.update(`${entry.worker} ${entry.timeUs}\n`)
    read++
  }
  order.tell()
  if (read === bundles * memory.workers || problems.length > 10) {
    clearInterval(alive)
    parentPort?.postMessage({ read, hash: hash.digest('hex'), changes, problems })
  } else if (put < bundles && put > before) setImmediate(turn)
  else order.sleep(turn)
}

/** Of any length, also none; the bytes say whose and which it is. */
function bundleOf(of: number, number: number): Buffer {
  return Buffer.alloc((number * 7 + of) % 200, (number + of * 31) % 251)
}

turn()
