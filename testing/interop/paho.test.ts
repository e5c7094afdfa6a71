/** The Python client paho in its three versions over every transport; what it checks stands in `paho-checks.py`. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { useInteropBroker } from './broker.ts'
import { missingPaho, python, Running } from './programs.ts'

const made = useInteropBroker()
const checks = fileURLToPath(new URL('./paho-checks.py', import.meta.url))

describe('paho', { skip: missingPaho(), concurrency: 3 }, () => {
  const transports = {
    tcp: () => made.tcp,
    tls: () => made.tls,
    websockets: () => made.ws,
    wss: () => made.wss,
  }
  for (const version of [3, 4, 5]) {
    for (const [transport, port] of Object.entries(transports)) {
      test(`${transport}, version ${version}: every QoS, large payloads, retained, will, kept session`, async () => {
        const args = ['-u', checks, `${version}`, transport, `${port()}`, made.cafile]
        const output = await new Running(python, args).succeeded()
        assert.match(output, /^done$/mu)
      })
    }
  }
})
