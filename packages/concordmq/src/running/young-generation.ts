/**
 * How the engine treats what is new, set for the whole process by the program; the library leaves the engine's settings alone.
 *
 * **Size.** V8 doubles the young generation whenever much of it survives, which is what 10,000 connections do when they arrive:
 * up to 48 MiB resident that is never given back, half of what idle connections cost. The broker's messages hardly live there
 * (payloads lie outside the heap), so nothing is lost by keeping it small: throughput was the same or better, since it fits the
 * processor's cache. The flag is read whenever the space would grow, so it takes effect on a running engine.
 *
 * **Place.** Where most of what one line of code has made survived, V8 makes what that line makes next in the old generation.
 * A queue that fills teaches it so; once the queue is full, and all that comes is dropped, the arrays of dropped messages lie
 * dead in the old generation and hold their payloads, until all of it is marked: twice a second, for 5 to 15 ms, at 10 MB/s.
 */
import process from 'node:process'
import { setFlagsFromString } from 'node:v8'

/** Versions of Node whose engine is known to have the flags; others complain about unknown ones. */
const KNOWN_MIN = 24
const KNOWN_MAX = 26

/** From now on the young generation keeps its size. */
export function keepYoungGenerationSmall(): void {
  setFlag('--semi-space-growth-factor=1')
}

/** Everything begins in the young generation, wherever what was like it has ended. Before any code has run often. */
export function beginInYoungGeneration(): void {
  setFlag('--no-allocation-site-pretenuring')
}

function setFlag(flag: string): void {
  const major = Number.parseInt(process.versions.node, 10)
  if (major >= KNOWN_MIN && major <= KNOWN_MAX) setFlagsFromString(flag)
}
