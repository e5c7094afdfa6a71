/** Ports of loopback that are free now, for UDP and TCP; another program may still take one before it is used. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'

/** Ports that are free for one protocol and not for the other are passed over, so many at most. */
const passedMax = 100

export async function freePorts(count: number): Promise<number[]> {
  const held: { close(): unknown }[] = []
  const ports: number[] = []
  try {
    for (let passed = 0; ports.length < count; ) {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      held.push(server)
      const { port } = server.address() as AddressInfo
      const socket = createSocket('udp4')
      held.push(socket)
      socket.bind(port, '127.0.0.1')
      try {
        await once(socket, 'listening')
        ports.push(port)
      } catch (error) {
        if (++passed > passedMax) throw error
      }
    }
  } finally {
    for (const one of held) one.close()
  }
  return ports
}
