/**
 * Asks an old link whether it lives, when another process comes with its peer's key. Over UDP nothing tells that a process was
 * killed, and its successor waits for as long as this takes.
 */
import type { Link } from './link.ts'

/** How long the old link has: so many of its round trips, within these bounds, ms. */
const WAIT_RTTS = 8
const WAIT_MS_MIN = 200
const WAIT_MS_MAX = 1000
/** In so many parts, each begun when the one before is over: a process that is held up does not take that for a peer's silence. */
const LOOKS = 8

/** Tells whether anything came over the link since; as soon as something did, or when its time is over. */
export function askForLife(link: Link, nowUs: number, tell: (lives: boolean) => void): void {
  link.tick(nowUs)
  const heardBytes = link.receivedBytes
  const pauseMs = Math.min(Math.max((WAIT_RTTS * link.rttUs) / 1000, WAIT_MS_MIN), WAIT_MS_MAX) / LOOKS
  const look = (looksLeft: number): void => {
    const lives = link.isUp && link.receivedBytes > heardBytes
    if (lives || !link.isUp || looksLeft === 0) return tell(lives)
    // What came meanwhile is read before it is looked at.
    setTimeout(() => setImmediate(look, looksLeft - 1), pauseMs)
  }
  look(LOOKS)
}
