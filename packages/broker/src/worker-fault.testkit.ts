/**
 * A program whose broker has two workers, of which the second fails once it serves. It is preloaded as well as run: a worker
 * thread preloads what its process does.
 */
import { isMainThread, workerData } from 'node:worker_threads'
import { createBroker } from './broker.ts'

if (isMainThread) {
  const broker = await createBroker({ workers: 2, access: { allowAnonymous: true } })
  await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
} else if ((workerData as { readonly worker?: number } | undefined)?.worker === 1) {
  setTimeout(() => {
    throw new Error('the test wants it')
  }, 2000)
}
