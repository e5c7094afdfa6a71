/** Every load by the name that the command line takes. */
import { floodForNobody, fullQueue } from './full-queue.ts'
import { halfOpen } from './half-open.ts'
import type { Load } from './load.ts'
import { loginStorm } from './login-storm.ts'
import { stoppedReaders } from './stopped-readers.ts'

export const loads: Readonly<Record<string, Load>> = {
  'stopped-readers': stoppedReaders,
  'half-open': halfOpen,
  'login-storm': loginStorm,
  'full-queue': fullQueue,
  'flood-for-nobody': floodForNobody,
}
