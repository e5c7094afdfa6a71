import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { after, describe, it } from 'node:test'
import { ConcordError } from '../errors.ts'
import { type HealthHandle, type HealthOptions, openHealth } from './health.ts'

const open: HealthHandle[] = []
after(() => Promise.all(open.map((handle) => handle.close())))

async function serve(options: Partial<HealthOptions> = {}): Promise<HealthHandle> {
  const handle = await openHealth({ broker: { ready: true }, host: '127.0.0.1', port: 0, ...options })
  open.push(handle)
  return handle
}

async function get(handle: HealthHandle, path: string, method = 'GET') {
  const response = await fetch(`http://${handle.address}${path}`, { method })
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
}

/** A port that somebody holds. */
async function takenPort(): Promise<{ port: number; free: () => void }> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return { port: (server.address() as AddressInfo).port, free: () => server.close() }
}

describe('openHealth()', () => {
  it('says that the process lives, ready or not', async () => {
    const handle = await serve({ broker: { ready: false } })
    for (const path of ['/healthz', '/health', '/health/ping', '/healthcheck']) {
      assert.deepEqual(await get(handle, path), { status: 200, type: 'text/plain; charset=utf-8', text: 'ok\n' })
    }
  })

  it('says whether clients may come, as it is at the moment', async () => {
    const broker = { ready: false }
    const handle = await serve({ broker })
    const paths = ['/readyz', '/startupz', '/health/listeners', '/status']
    for (const path of paths) assert.equal((await get(handle, path)).status, 503)
    broker.ready = true
    for (const path of paths) assert.equal((await get(handle, path)).status, 200)
    assert.equal((await get(handle, '/readyz', 'HEAD')).text, '')
  })

  it('names each check with ?verbose', async () => {
    const handle = await serve({ checks: () => ({ quorum: false }) })
    const { status, type, text } = await get(handle, '/readyz?verbose')
    assert.equal(status, 503)
    assert.equal(type, 'application/json')
    assert.deepEqual(JSON.parse(text), { status: 'unavailable', checks: { broker: true, quorum: false } })
    assert.deepEqual(JSON.parse((await get(handle, '/healthz?verbose=1')).text), {
      status: 'ok',
      checks: { alive: true },
    })
  })

  it('hands out proofs of positions, and says why there is none', async () => {
    const handle = await serve({
      proof: async (position) => {
        if (position === 7) return '{"position":7}\n'
        if (position > 7) throw new ConcordError('CMQ_PROOF_LATER', 'Cannot prove position 8 now: nothing has it yet')
        throw new ConcordError('CMQ_PROOF_FORGOTTEN', 'Cannot prove position 6: this node keeps it no more')
      },
    })
    assert.deepEqual(await get(handle, '/proof/7'), { status: 200, type: 'application/json', text: '{"position":7}\n' })
    assert.equal((await get(handle, '/proof/8')).status, 503)
    const forgotten = await get(handle, '/proof/6')
    assert.equal(forgotten.status, 404)
    assert.match(forgotten.text, /^Cannot prove position 6: this node keeps it no more;/u)
    for (const path of ['/proof/', '/proof/x', '/proof/-1', '/proof/1.5', '/proof/7/8', '/proof/99999999999999999'])
      assert.equal((await get(handle, path)).status, 404)
    assert.equal((await get(await serve(), '/proof/7')).status, 404)
  })

  it('refuses other paths and methods', async () => {
    const handle = await serve()
    for (const path of ['/', '/healthz/', '/metrics', '/../readyz/x'])
      assert.equal((await get(handle, path)).status, 404)
    for (const method of ['POST', 'PUT', 'DELETE']) assert.equal((await get(handle, '/healthz', method)).status, 405)
  })

  it('refuses a taken port with CMQ_ADDRESS_IN_USE', async () => {
    const { port, free } = await takenPort()
    await assert.rejects(serve({ port }), { code: 'CMQ_ADDRESS_IN_USE' })
    free()
  })

  it('takes the next free port when it may try several', async () => {
    const { port, free } = await takenPort()
    const handle = await serve({ port, portTriesMax: 20 })
    assert.ok(handle.port > port && handle.port < port + 20)
    assert.equal((await get(handle, '/healthz')).status, 200)
    free()
  })
})
