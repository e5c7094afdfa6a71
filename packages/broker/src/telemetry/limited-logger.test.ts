import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LimitCounters } from './limit-counters.ts'
import { LINES_BURST, LINES_PER_SECOND, LimitedLogger } from './limited-logger.ts'
import type { LogFields, Logger } from './logger.ts'

function setUp() {
  const lines: [level: string, fields: LogFields][] = []
  const at = (level: string) => (fields: LogFields) => void lines.push([level, fields])
  const inner: Logger = {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    debugEnabled: true,
  }
  const counters = new LimitCounters()
  const clock = { ms: 0 }
  return { lines, counters, clock, logger: new LimitedLogger(inner, counters, () => clock.ms) }
}

test('lines of one event come in a burst and then at a pace, and what is left out is counted and said', () => {
  const { lines, counters, clock, logger } = setUp()
  for (let i = 0; i < 1_000; i++) logger.info({ event: 'connect.refused', i }, 'refused')
  assert.equal(lines.length, LINES_BURST)
  assert.equal(counters.logLines, 1_000 - LINES_BURST)
  clock.ms += 1_000
  for (let i = 0; i < 50; i++) logger.info({ event: 'connect.refused' }, 'refused')
  const later = lines.slice(LINES_BURST)
  assert.equal(later.length, LINES_PER_SECOND + 1)
  assert.deepEqual(later[0], ['warn', { event: 'log.suppressed', of: 'connect.refused', lines: 900 }])
  logger.close()
  assert.deepEqual(lines.at(-1), ['warn', { event: 'log.suppressed', of: 'connect.refused', lines: 40 }])
})

test('one event does not silence another, and debug lines pass', () => {
  const { lines, logger } = setUp()
  for (let i = 0; i < 500; i++) logger.warn({ event: 'a' }, 'a')
  for (let i = 0; i < 500; i++) logger.debug({ event: 'a' }, 'a')
  logger.error({ event: 'b' }, 'b')
  assert.equal(lines.filter(([level]) => level === 'debug').length, 500)
  assert.deepEqual(lines.at(-1), ['error', { event: 'b' }])
  logger.close()
})
