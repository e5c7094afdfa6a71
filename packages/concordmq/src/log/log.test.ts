import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LogFormat, type LogLevel, logFormats } from './entry.ts'
import { openLog } from './log.ts'

async function lines(format: LogFormat, level: LogLevel = 'info') {
  const written: string[] = []
  const log = await openLog({ format, level, sink: { write: (text) => written.push(text) }, colour: false })
  return { log, written }
}

test('json lines carry the keys of FoxMQ [row F26]', async () => {
  const { log, written } = await lines('json')
  log
    .logger('concordmq::broker')
    .info({ event: 'listener.open', listen_addr: '0.0.0.0:1883' }, 'listening for connections')
  assert.equal(written.length, 1)
  assert.ok(written[0]?.endsWith('}\n'))
  const { timestamp, ...rest } = JSON.parse(written[0] ?? '')
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.deepEqual(rest, {
    level: 'INFO',
    target: 'concordmq::broker',
    fields: { message: 'listening for connections', event: 'listener.open', listen_addr: '0.0.0.0:1883' },
  })
})

test('full lines carry time, level, target, message and fields', async () => {
  const { log, written } = await lines('full')
  log.logger('concordmq::broker').warn({ event: 'x', count: 2, who: 'a b' }, 'Something happened')
  assert.match(
    written.join(''),
    /^\d{4}-.*Z {2}WARN concordmq::broker: Something happened event=x count=2 who="a b"\n$/,
  )
})

test('compact lines carry time of day, level, message and fields', async () => {
  const { log, written } = await lines('compact')
  log.logger('t').error({ event: 'x', count: 2 }, 'Something happened')
  assert.match(written.join(''), /^\d\d:\d\d:\d\d ERROR Something happened count=2\n$/)
})

test('pretty lines carry message and fields below each other', async () => {
  const { log, written } = await lines('pretty')
  log.logger('concordmq::broker').info({ event: 'x', count: 2 }, 'Something happened')
  assert.match(written.join(''), /Something happened\n.*event.*\n.*count.*2/)
})

for (const format of logFormats) {
  test(`${format}: what a remote party sends cannot forge a line or move a cursor`, async () => {
    const { log, written } = await lines(format)
    log.logger('t').info({ event: 'x', clientId: 'a\nERROR forged\u001b[2J\u2028b' }, 'Client')
    const text = written.join('')
    assert.doesNotMatch(text, /^ERROR/m)
    assert.ok(!text.includes('\u001b[2J'))
  })

  test(`${format}: an error is its message, without a stack trace`, async () => {
    const { log, written } = await lines(format)
    log.logger('t').error({ event: 'x', reason: new Error('disk full') }, 'Cannot write')
    assert.match(written.join(''), /disk full/)
    assert.doesNotMatch(written.join(''), /at .*log\.test/)
  })

  test(`${format}: lines below the level are not written, also after it changed`, async () => {
    const { log, written } = await lines(format, 'warn')
    const logger = log.logger('t')
    logger.info({ event: 'x' }, 'no')
    assert.equal(logger.debugEnabled, false)
    log.setLevel('debug')
    assert.equal(logger.debugEnabled, true)
    logger.debug({ event: 'x' }, 'yes')
    assert.equal(written.length, 1)
    assert.match(written.join(''), /yes/)
  })
}
