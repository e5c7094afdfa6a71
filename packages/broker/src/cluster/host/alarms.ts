/** What the engine has to say to an operator, as lines of the log. */
import type { Alarm } from '@concordmq/consensus'
import type { Logger } from '../../telemetry/logger.ts'
import { describeMember, type Members } from '../identity/members.ts'

export function reportAlarm(alarm: Alarm, members: Members, logger: Logger): void {
  switch (alarm.type) {
    case 'jailed': {
      const member = members.all[alarm.author]
      const name = member === undefined ? `node ${alarm.author}` : describeMember(member)
      logger.error(
        { event: 'cluster.jailed', node: alarm.author },
        `Jailed ${name}: it signed two contradicting blocks, which is proven; it takes no part in the order any more`,
      )
      return
    }
    case 'tooManyJailed':
      logger.error(
        { event: 'cluster.broken' },
        'More nodes contradicted themselves than a cluster of this size can bear; this node makes no more blocks',
      )
      return
    case 'divergence':
      logger.error(
        { event: 'cluster.divergence', step: alarm.step },
        `The state of this node differs from that of the others at step ${alarm.step}: it stops taking part`,
      )
      return
    case 'fairCut':
      logger.warn(
        { event: 'cluster.fair-cut', count: alarm.count },
        'The fair place of some messages could not be waited for any longer; for these the order may be unfair',
      )
      return
    case 'amnesia':
      logger.error(
        { event: 'cluster.amnesia' },
        'This node made blocks that its own disk does not know: it learns from the others which, before it makes new ones',
      )
  }
}
