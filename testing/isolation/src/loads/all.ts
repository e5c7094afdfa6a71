/** Every load by the name that the command line takes. */
import { blockedHook } from './blocked-hook.ts'
import { floodForNobody, fullQueue } from './full-queue.ts'
import { halfOpen } from './half-open.ts'
import type { Load } from './load.ts'
import { loginStorm } from './login-storm.ts'
import { promisedPackets, tinyPackets } from './packet-bombs.ts'
import { propertyBombs } from './property-bombs.ts'
import { sessionFlood, sharedChurn, takeoverStorm } from './session-storms.ts'
import { stoppedReaders } from './stopped-readers.ts'
import { deepTopics, retainedScan, wildcardStorm } from './topic-storms.ts'
import { websocketGames } from './websocket-games.ts'

export const loads: Readonly<Record<string, Load>> = {
  'stopped-readers': stoppedReaders,
  'half-open': halfOpen,
  'login-storm': loginStorm,
  'full-queue': fullQueue,
  'blocked-hook': blockedHook,
  'flood-for-nobody': floodForNobody,
  'promised-packets': promisedPackets,
  'tiny-packets': tinyPackets,
  'property-bombs': propertyBombs,
  'deep-topics': deepTopics,
  'wildcard-storm': wildcardStorm,
  'retained-scan': retainedScan,
  'shared-churn': sharedChurn,
  'session-flood': sessionFlood,
  'takeover-storm': takeoverStorm,
  'websocket-games': websocketGames,
}
