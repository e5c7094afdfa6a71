/**
 * A trace as an answer that goes on: one JSON object a line, until its time is over, the peer goes away or the node stops. A
 * peer that reads too slowly loses lines, and is told how many: the broker waits for nobody.
 */

import type { Broker } from '@concordmq/broker'
import { filterProblem } from '@concordmq/protocol'
import { errorCode } from '../command-error.ts'
import { ControlError } from './control-error.ts'
import type { ControlHandler } from './controlled-node.ts'
import { integerOf } from './page.ts'
import { type TraceLine, type TraceSubject, traceBroker } from './trace.ts'

const tracesMax = 8
const secondsMax = 3_600
/** What may wait for a slow peer. */
const waitingBytesMax = 1_048_576

/** Each node's running traces; a node is one process, but tests may have several. */
const running = new WeakMap<object, number>()

export const followTrace: ControlHandler = ({ query, response }, { broker, logger }) => {
  const subject = subjectOf(query)
  const seconds = integerOf(query, 'for', { fallback: 60, max: secondsMax })
  const others = running.get(broker) ?? 0
  if (others >= tracesMax) throw new ControlError(409, `There are already ${tracesMax} traces; end one of them first`)
  let left = 0
  const emit = (line: TraceLine | { readonly leftOut: number }): void => {
    if (response.writableLength > waitingBytesMax) {
      left++
      return
    }
    if (left > 0 && !('leftOut' in line)) {
      const leftOut = left
      left = 0
      emit({ leftOut })
    }
    response.write(`${JSON.stringify(line)}\n`)
  }
  const end = begin(broker, subject, emit)
  running.set(broker, others + 1)
  logger.info({ event: 'trace.begun', kind: subject.kind, value: subject.value, seconds }, 'tracing')
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store', connection: 'close' })
  response.flushHeaders()
  const timer = setTimeout(() => response.end(), seconds * 1_000)
  response.once('close', () => {
    clearTimeout(timer)
    end()
    running.set(broker, (running.get(broker) ?? 1) - 1)
    logger.info({ event: 'trace.ended', kind: subject.kind, value: subject.value }, 'tracing no more')
  })
  return undefined
}

function begin(broker: Broker, subject: TraceSubject, emit: (line: TraceLine) => void): () => void {
  try {
    return traceBroker(broker, subject, emit)
  } catch (error) {
    if (errorCode(error) !== 'CMQ_WORKERS') throw error
    throw new ControlError(409, 'A node with several workers cannot be traced', 'Start it with --workers 1')
  }
}

function subjectOf(query: URLSearchParams): TraceSubject {
  const given = (['client', 'address', 'topic'] as const).filter((kind) => query.has(kind))
  const [kind] = given
  if (kind === undefined || given.length > 1) {
    throw new ControlError(400, 'Give one of "client", "address" and "topic"')
  }
  const value = query.get(kind) ?? ''
  const problem = kind === 'topic' ? filterProblem(value)?.detail : value === '' ? 'it is empty' : undefined
  if (problem !== undefined) throw new ControlError(400, `Cannot trace ${kind} "${value}": ${problem}`)
  return { kind, value, payloads: query.get('payload') === 'true' }
}
