/** The contents of CONNECT, made of the settings anew for each connection: only the first may begin the session afresh. */
import type { ClientConnectOptions, Properties } from '@concordmq/protocol'
import { asBytes, type ClientSettings } from './options.ts'

/** `again`: there has been a connection before, so there may be a session to go on with. */
export function connectContents(
  settings: ClientSettings,
  again: boolean,
): Omit<ClientConnectOptions, 'clientId' | 'keepAlive'> {
  const { options, password, sessionExpiryInterval, username, version } = settings
  const { authentication, will } = options
  const authenticationData = authentication?.begin?.()
  const properties: Properties = {
    ...options.properties,
    ...(sessionExpiryInterval > 0 && { sessionExpiryInterval }),
    receiveMaximum: settings.receiveMaximum,
    maximumPacketSize: settings.maximumPacketSize,
    ...(settings.topicAliasMaximum > 0 && { topicAliasMaximum: settings.topicAliasMaximum }),
    ...(authentication && { authenticationMethod: authentication.method }),
    ...(authenticationData && { authenticationData }),
  }
  return {
    version,
    cleanStart: settings.cleanStart && !(again && sessionExpiryInterval > 0),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(will && {
      will: {
        topic: will.topic,
        payload: asBytes(will.payload ?? ''),
        qos: will.qos ?? 0,
        retain: will.retain ?? false,
        ...(will.properties && version === 5 && { properties: will.properties }),
      },
    }),
    ...(version === 5 && { properties }),
  }
}
