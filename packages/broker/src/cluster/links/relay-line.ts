/** Messages that skip the order, as frames on the links (`model/relay.ts`). What is done with them is charged elsewhere. */
import type { RelayKind, RelayLinks, RelayReceiver } from '../../model/relay.ts'
import { bodyOf, encodeFrame, FrameType } from './frames.ts'
import type { Links } from './links.ts'

/** What taking a frame off the link costs, and what each of its bytes does, µs. */
const FRAME_COST_US = 5
const BYTE_COST_US = 0.001

export class RelayLine implements RelayLinks {
  /** Frames go nowhere until there are links. */
  links: Pick<Links, 'send' | 'flush' | 'drop'> | undefined

  send(to: number, kind: RelayKind, bytes: Uint8Array): void {
    this.links?.send(to, encodeFrame(kind === 'messages' ? FrameType.relay : FrameType.taken, bytes))
  }

  flush(): void {
    this.links?.flush()
  }

  drop(node: number, why: string): void {
    this.links?.drop(node, why)
  }

  /** Hands a frame to whoever takes it, and answers what it cost the link, µs; undefined: it is another kind of frame. */
  take(from: number, frame: Uint8Array, receiver: RelayReceiver | undefined): number | undefined {
    const [type] = frame
    if (type !== FrameType.relay && type !== FrameType.taken) return undefined
    const problem = receiver?.relayed(from, type === FrameType.relay ? 'messages' : 'taken', bodyOf(frame))
    if (problem !== undefined) this.drop(from, problem)
    return FRAME_COST_US + frame.length * BYTE_COST_US
  }
}
