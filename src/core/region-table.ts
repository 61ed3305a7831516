// The regions Kittiwake knows without being told: all that Fly has or had, and the cities where the large clouds have theirs.
// Codes are IATA's; a position is the middle of the city, an hour's drive from its data centres at most: under a millisecond.
// An operator's region file adds to this table and overrides it (config/region-file.ts).

import type { Region } from "./region.ts";

type Row = readonly [code: string, name: string, country: string, latitude: number, longitude: number];

const EUROPE: readonly Row[] = [
  ["ams", "Amsterdam", "NL", 52.37, 4.9],
  ["arn", "Stockholm", "SE", 59.33, 18.07],
  ["ath", "Athens", "GR", 37.98, 23.73],
  ["ber", "Berlin", "DE", 52.52, 13.4],
  ["bru", "Brussels", "BE", 50.85, 4.35],
  ["bud", "Budapest", "HU", 47.5, 19.04],
  ["cdg", "Paris", "FR", 48.86, 2.35],
  ["cph", "Copenhagen", "DK", 55.68, 12.57],
  ["dub", "Dublin", "IE", 53.35, -6.26],
  ["fra", "Frankfurt", "DE", 50.11, 8.68],
  ["ham", "Hamburg", "DE", 53.55, 9.99],
  ["hel", "Helsinki", "FI", 60.17, 24.94],
  ["ist", "Istanbul", "TR", 41.01, 28.98],
  ["lhr", "London", "GB", 51.51, -0.13],
  ["lis", "Lisbon", "PT", 38.72, -9.14],
  ["mad", "Madrid", "ES", 40.42, -3.7],
  ["man", "Manchester", "GB", 53.48, -2.24],
  ["mrs", "Marseille", "FR", 43.3, 5.37],
  ["muc", "Munich", "DE", 48.14, 11.58],
  ["mxp", "Milan", "IT", 45.46, 9.19],
  ["osl", "Oslo", "NO", 59.91, 10.75],
  ["otp", "Bucharest", "RO", 44.43, 26.1],
  ["prg", "Prague", "CZ", 50.08, 14.44],
  ["vie", "Vienna", "AT", 48.21, 16.37],
  ["waw", "Warsaw", "PL", 52.23, 21.01],
  ["zrh", "Zurich", "CH", 47.38, 8.54],
];

const NORTH_AMERICA: readonly Row[] = [
  ["atl", "Atlanta", "US", 33.75, -84.39],
  ["bos", "Boston", "US", 42.36, -71.06],
  ["chs", "Charleston", "US", 32.78, -79.93],
  ["cmh", "Columbus", "US", 39.96, -83.0],
  ["den", "Denver", "US", 39.74, -104.99],
  ["dfw", "Dallas", "US", 32.78, -96.8],
  ["dsm", "Des Moines", "US", 41.59, -93.62],
  ["ewr", "Secaucus", "US", 40.79, -74.06],
  ["gdl", "Guadalajara", "MX", 20.66, -103.35],
  ["iad", "Ashburn", "US", 39.04, -77.49],
  ["iah", "Houston", "US", 29.76, -95.37],
  ["las", "Las Vegas", "US", 36.17, -115.14],
  ["lax", "Los Angeles", "US", 34.05, -118.24],
  ["mia", "Miami", "US", 25.76, -80.19],
  ["ord", "Chicago", "US", 41.88, -87.63],
  ["pdx", "Portland", "US", 45.52, -122.68],
  ["phx", "Phoenix", "US", 33.45, -112.07],
  ["qro", "Querétaro", "MX", 20.59, -100.39],
  ["sat", "San Antonio", "US", 29.42, -98.49],
  ["sea", "Seattle", "US", 47.61, -122.33],
  ["sfo", "San Francisco", "US", 37.77, -122.42],
  ["sjc", "San Jose", "US", 37.34, -121.89],
  ["slc", "Salt Lake City", "US", 40.76, -111.89],
  ["yul", "Montreal", "CA", 45.5, -73.57],
  ["yvr", "Vancouver", "CA", 49.28, -123.12],
  ["yyc", "Calgary", "CA", 51.05, -114.07],
  ["yyz", "Toronto", "CA", 43.65, -79.38],
];

const SOUTH_AMERICA: readonly Row[] = [
  ["bog", "Bogotá", "CO", 4.71, -74.07],
  ["eze", "Buenos Aires", "AR", -34.6, -58.38],
  ["gig", "Rio de Janeiro", "BR", -22.91, -43.17],
  ["gru", "São Paulo", "BR", -23.55, -46.63],
  ["lim", "Lima", "PE", -12.05, -77.04],
  ["scl", "Santiago", "CL", -33.45, -70.67],
];

const AFRICA: readonly Row[] = [
  ["cai", "Cairo", "EG", 30.04, 31.24],
  ["cpt", "Cape Town", "ZA", -33.92, 18.42],
  ["jnb", "Johannesburg", "ZA", -26.2, 28.05],
  ["los", "Lagos", "NG", 6.52, 3.38],
  ["nbo", "Nairobi", "KE", -1.29, 36.82],
];

const MIDDLE_EAST: readonly Row[] = [
  ["auh", "Abu Dhabi", "AE", 24.45, 54.38],
  ["bah", "Manama", "BH", 26.23, 50.59],
  ["dmm", "Dammam", "SA", 26.43, 50.1],
  ["doh", "Doha", "QA", 25.29, 51.53],
  ["dxb", "Dubai", "AE", 25.2, 55.27],
  ["jed", "Jeddah", "SA", 21.49, 39.19],
  ["ruh", "Riyadh", "SA", 24.71, 46.68],
  ["tlv", "Tel Aviv", "IL", 32.09, 34.78],
];

const ASIA: readonly Row[] = [
  ["bkk", "Bangkok", "TH", 13.76, 100.5],
  ["bom", "Mumbai", "IN", 19.08, 72.88],
  ["can", "Guangzhou", "CN", 23.13, 113.26],
  ["ccu", "Kolkata", "IN", 22.57, 88.36],
  ["cgk", "Jakarta", "ID", -6.21, 106.85],
  ["ctu", "Chengdu", "CN", 30.57, 104.07],
  ["del", "Delhi", "IN", 28.61, 77.21],
  ["hkg", "Hong Kong", "HK", 22.32, 114.17],
  ["hyd", "Hyderabad", "IN", 17.39, 78.49],
  ["icn", "Seoul", "KR", 37.57, 126.98],
  ["jhb", "Johor Bahru", "MY", 1.49, 103.74],
  ["kix", "Osaka", "JP", 34.69, 135.5],
  ["kul", "Kuala Lumpur", "MY", 3.14, 101.69],
  ["maa", "Chennai", "IN", 13.08, 80.27],
  ["mnl", "Manila", "PH", 14.6, 120.98],
  ["nrt", "Tokyo", "JP", 35.68, 139.69],
  ["pek", "Beijing", "CN", 39.9, 116.41],
  ["pnq", "Pune", "IN", 18.52, 73.86],
  ["sgn", "Ho Chi Minh City", "VN", 10.82, 106.63],
  ["sha", "Shanghai", "CN", 31.23, 121.47],
  ["sin", "Singapore", "SG", 1.35, 103.82],
  ["tpe", "Taipei", "TW", 25.03, 121.57],
];

const OCEANIA: readonly Row[] = [
  ["adl", "Adelaide", "AU", -34.93, 138.6],
  ["akl", "Auckland", "NZ", -36.85, 174.76],
  ["bne", "Brisbane", "AU", -27.47, 153.03],
  ["cbr", "Canberra", "AU", -35.28, 149.13],
  ["mel", "Melbourne", "AU", -37.81, 144.96],
  ["per", "Perth", "AU", -31.95, 115.86],
  ["syd", "Sydney", "AU", -33.87, 151.21],
];

const ROWS: readonly Row[] = [...EUROPE, ...NORTH_AMERICA, ...SOUTH_AMERICA, ...AFRICA, ...MIDDLE_EAST, ...ASIA, ...OCEANIA];

/** Grouped by part of the world, by code within it. */
export const REGIONS: readonly Region[] = ROWS.map(([code, name, country, latitude, longitude]) => ({
  code,
  name,
  country,
  latitude,
  longitude,
}));

/**
 * Names for many regions at once (reference section 4.1). An operator's own regions are in none of them. `any` is not here: it is every
 * region there is.
 */
export const REGION_ALIASES: ReadonlyMap<string, readonly string[]> = new Map([
  ["apac", codes([...ASIA, ...OCEANIA])],
  ["eu", codes(EUROPE)],
  ["na", codes(NORTH_AMERICA)],
  ["sa", codes(SOUTH_AMERICA)],
  ["us", codes(ROWS.filter(([, , country]) => country === "US"))],
  ["usa", codes(ROWS.filter(([, , country]) => country === "US"))],
]);

function codes(rows: readonly Row[]): string[] {
  return rows.map(([code]) => code);
}
