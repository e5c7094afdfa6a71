/** Tells hooks what happens to sessions, queues and retained messages in the machine. */
import { withoutPacket } from '../hooks/hook-message.ts'
import type { HookPoints } from '../hooks/hook-points.ts'
import type { MachineWatcher } from './session-driver.ts'

export function watcherOf(hooks: HookPoints): MachineWatcher {
  return {
    sessionEnded: (clientId, reason) => hooks.observe('sessionEnded', clientId, reason),
    dropped: (clientId, reason) => hooks.observe('qosDropped', clientId, reason),
    retainedExpired: (topic) => hooks.observe('retainedExpired', topic),
    willPublished(clientId, message) {
      const will = withoutPacket(message)
      if (will.retain) hooks.observe('retainedStored', will)
      hooks.observe('willSent', clientId, will)
    },
  }
}
