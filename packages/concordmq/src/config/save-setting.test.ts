import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusal } from '../refusal.testkit.ts'
import { type SavedSetting, withSetting } from './save-setting.ts'

const change = (text: string, path: string, value: unknown) =>
  withSetting(text, { path, value, file: 'concordmq.toml' } satisfies SavedSetting)

test('withSetting() puts a value where it stands and leaves everything else as it is', () => {
  const text = '# mine\n[limits]\nkeep-alive-max = 60 # short\n\n[mqtt]\naddr = "0.0.0.0:1883"\n'
  assert.equal(change(text, 'limits.keep-alive-max', 90), text.replace('60 #', '90 #'))
  assert.equal(change(text, 'mqtt.addr', ['[::]:1']), text.replace('"0.0.0.0:1883"', '["[::]:1"]'))
  assert.equal(
    change(text, 'limits.packet-bytes-max', 100),
    text.replace('[limits]\n', '[limits]\npacket-bytes-max = 100\n'),
  )
  assert.equal(change(text, 'log.level', 'debug'), `${text}\n[log]\nlevel = "debug"\n`)
  assert.equal(change(text, 'data-dir', '/x'), `data-dir = "/x"\n${text}`)
  assert.equal(change('', 'data-dir', '/x'), 'data-dir = "/x"\n')
  assert.equal(change('', 'log.level', 'warn'), '[log]\nlevel = "warn"\n')
  assert.equal(change('log.level = "info"\n', 'log.level', 'warn'), 'log.level = "warn"\n')
})

test('withSetting() is not misled by keys of the same name, comments and strings', () => {
  const text =
    '[mqtts]\naddr = "0.0.0.0:1"\n# addr = 7\n[mqtt]\naddr = "0.0.0.0:2" # see "x"\n[wss]\naddr = "0.0.0.0:3"\n'
  assert.equal(change(text, 'mqtt.addr', ['0.0.0.0:9']), text.replace('"0.0.0.0:2" # see "x"', '["0.0.0.0:9"]'))
})

test('withSetting() refuses what it would break, and shows the line to write', () => {
  const error = refusal(() => change('[mqtt]\naddr = [\n  "0.0.0.0:1",\n]\n', 'mqtt.addr', []))
  assert.match(error.message, /in a form this command does not edit/)
  assert.match(error.remedy ?? '', /Put "addr = \[\]" into \[mqtt\] by hand/)
  refusal(() => change('mqtt = { addr = "0.0.0.0:1" }\n', 'mqtt.addr', []))
  refusal(() => change('[mqtt\n', 'mqtt.addr', []))
})
